/** The content of an artifact in the viewer for its type; each viewer is loaded when it is first needed. */
import { lazy, Suspense, useEffect, useMemo, useState } from 'react'
import type { ElementOf } from '@/element'
import { Button } from '@/components/ui/button'
import { Picture } from '@/components/viewers/image'
import { imageType, viewerFor } from '@/components/viewers/kind'
import type { TableData } from '@/components/viewers/table-data'
import { RemoteError } from '@/connection'
import { fetchContent } from '@/store/content'
import { usePage } from '@/store/context'
import { size } from '@/lib/words'

const Markdown = lazy(() => import('@/components/viewers/markdown'))
const Code = lazy(() => import('@/components/viewers/code'))
const DataTable = lazy(() => import('@/components/viewers/data-table'))

/** The most that is brought into the page to be seen; the rest can be downloaded. */
const MOST = 8 << 20
/** The most text that is shown as text. */
const MOST_TEXT = 2 << 20

export function ArtifactView({ props }: ElementOf<'ArtifactView'>) {
  const { id, bytes: total } = props
  const page = usePage()
  const [bytes, setBytes] = useState<Uint8Array<ArrayBuffer> | null>(null)
  const [part, setPart] = useState(0)
  const [problem, setProblem] = useState<Error | null>(null)
  useEffect(() => {
    let current = true
    fetchContent(page, id, total, MOST, (done) => {
      if (current) setPart(done)
    })
      .then((content) => {
        if (current) setBytes(content)
      })
      .catch((error: unknown) => {
        if (current) setProblem(error instanceof Error ? error : new Error(String(error)))
      })
    return () => {
      current = false
    }
  }, [page, id, total])
  if (problem) return <Problem error={problem} />
  if (!bytes) return <Loading part={part} />
  return (
    <Suspense fallback={<Loading part={1} />}>
      {total > bytes.length && (
        <Part shown={`The first ${size(bytes.length)} of ${size(total)} are shown.`} />
      )}
      {props.short ? (
        <div
          role="group"
          tabIndex={0}
          aria-label={`Beginning of ${props.name}`}
          className="max-h-[26rem] overflow-auto rounded-lg"
        >
          <Content {...props} content={bytes} />
        </div>
      ) : (
        <Content {...props} content={bytes} />
      )}
    </Suspense>
  )
}

function Problem({ error }: { error: Error }) {
  const remedy = error instanceof RemoteError ? error.remedy : ''
  return (
    <div role="alert" className="rounded-lg border border-bad/35 bg-bad-soft p-3 text-sm">
      <p className="font-medium wrap-anywhere text-bad">{error.message}</p>
      {remedy && <p className="wrap-anywhere first-letter:uppercase">{remedy}</p>}
    </div>
  )
}

function Part({ shown }: { shown: string }) {
  return (
    <p className="rounded-md bg-warning-soft px-3 py-1.5 text-sm text-warning">
      {shown} Download it to have the whole.
    </p>
  )
}

function Content({ name, mime, content }: { name: string; mime: string; content: Uint8Array<ArrayBuffer> }) {
  const viewer = viewerFor(mime, name)
  const [raw, setRaw] = useState(false)
  const text = useMemo(
    () => (viewer === 'image' || viewer === 'binary' ? null : decode(content)),
    [viewer, content],
  )
  const image = imageType(mime, name)
  if (viewer === 'image' && image) return <Picture bytes={content} type={image} name={name} />
  if (text === null) {
    return (
      <p className="rounded-lg border border-dashed p-6 text-center text-muted">
        This is no text. Download it to open it elsewhere.
      </p>
    )
  }
  if (text === '') {
    return <p className="rounded-lg border border-dashed p-6 text-center text-muted">It is empty.</p>
  }
  const rendered = viewer === 'markdown' || viewer === 'table'
  const isWhole = text.length <= MOST_TEXT
  const shown = isWhole ? text : text.slice(0, MOST_TEXT)
  return (
    <div className="relative flex flex-col gap-2">
      {rendered && (
        <Button
          variant="ghost"
          size="small"
          className={raw ? 'self-end' : 'absolute top-1.5 right-1.5 z-10'}
          aria-pressed={raw}
          onClick={() => setRaw(!raw)}
        >
          {raw ? 'Rendered' : 'Source'}
        </Button>
      )}
      {!isWhole && (viewer !== 'table' || raw) && (
        <Part shown={`The first ${size(MOST_TEXT)} of the text are shown.`} />
      )}
      {viewer === 'markdown' && !raw ? (
        <Markdown text={shown} />
      ) : viewer === 'table' && !raw ? (
        <TableOr text={text} csv={!mime.startsWith('list<')} name={name} />
      ) : (
        <Code text={shown} name={codeName(name, mime)} label={name} />
      )}
    </div>
  )
}

function TableOr({ text, csv, name }: { text: string; csv: boolean; name: string }) {
  const [data, setData] = useState<TableData | null | undefined>(undefined)
  useEffect(() => {
    let current = true
    void import('@/components/viewers/table-data').then(({ readTable }) => {
      if (current) setData(readTable(text, csv))
    })
    return () => {
      current = false
    }
  }, [text, csv])
  if (data === undefined) return <Loading part={1} />
  return data === null ? (
    <Code text={text} name={name} label={name} />
  ) : (
    <DataTable data={data} label={name} />
  )
}

/** The text in the bytes, or null when they are no UTF-8. */
function decode(content: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch {
    return content.length >= MOST ? new TextDecoder('utf-8').decode(content) : null
  }
}

/** A name whose ending says the language, also when only the type does. */
function codeName(name: string, mime: string): string {
  return /json|record|^list</.test(mime) && !name.endsWith('.json') ? `${name}.json` : name
}

function Loading({ part }: { part: number }) {
  return (
    <div
      role="progressbar"
      aria-label="Loading the artifact"
      aria-valuenow={Math.round(part * 100)}
      className="h-1 animate-late overflow-hidden rounded-full bg-accent-soft"
    >
      <div
        data-bar
        className="h-full bg-primary transition-[width]"
        style={{ width: `${Math.max(8, part * 100)}%` }}
      />
    </div>
  )
}
