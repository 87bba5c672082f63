/** Markdown, sanitised: no raw HTML, no scripts, no images from elsewhere. */
import type { ComponentProps } from 'react'
import ReactMarkdown, { defaultUrlTransform } from 'react-markdown'
import rehypeSanitize, { defaultSchema } from 'rehype-sanitize'
import remarkGfm from 'remark-gfm'
import './markdown.css'

const INLINE_IMAGE = /^data:image\/(png|jpeg|gif|webp|svg\+xml);base64,/

const SCHEMA = {
  ...defaultSchema,
  protocols: { ...defaultSchema.protocols, src: ['data'] },
}

export default function Markdown({ text }: { text: string }) {
  return (
    <div className="markdown rounded-lg border bg-surface px-5 py-4 md:px-8 md:py-6">
      <ReactMarkdown
        remarkPlugins={[remarkGfm]}
        rehypePlugins={[[rehypeSanitize, SCHEMA]]}
        urlTransform={(url, key) =>
          key === 'src' && INLINE_IMAGE.test(url) ? url : defaultUrlTransform(url)
        }
        components={{ a: OuterLink, img: InlineImage, input: TaskBox, table: ScrollingTable }}
      >
        {text}
      </ReactMarkdown>
    </div>
  )
}

function OuterLink({ href, children }: ComponentProps<'a'>) {
  return href?.startsWith('http') ? (
    <a href={href} target="_blank" rel="noreferrer noopener">
      {children}
    </a>
  ) : (
    <span>{children}</span>
  )
}

/** Only images that the document carries itself; the page fetches nothing from elsewhere. */
function InlineImage({ src, alt }: ComponentProps<'img'>) {
  return typeof src === 'string' && INLINE_IMAGE.test(src) ? (
    <img src={src} alt={alt ?? ''} />
  ) : (
    <span className="text-muted">[image: {alt || src}]</span>
  )
}

/** The box of an entry in a task list: nobody can tick it, and what it says has a name. */
function TaskBox({ checked }: ComponentProps<'input'>) {
  return (
    <input
      type="checkbox"
      checked={checked ?? false}
      disabled
      readOnly
      aria-label={checked ? 'Done' : 'To do'}
    />
  )
}

function ScrollingTable({ children }: ComponentProps<'table'>) {
  return (
    <div className="overflow-x-auto" role="group" tabIndex={0} aria-label="Table">
      <table>{children}</table>
    </div>
  )
}
