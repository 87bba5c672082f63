/** A unified diff, file by file: the signs before the lines say what the colours say. */
import type { ElementOf } from '@/element'
import { cn } from '@/lib/cn'

interface File {
  name: string
  lines: string[]
}

/** The files of a diff with their lines; what stands before the first header has no name. */
export function filesOf(text: string): File[] {
  const files: File[] = []
  for (const line of text.replace(/\n$/, '').split('\n')) {
    const header = /^diff --git a\/(.*) b\/(.*)$/.exec(line)
    if (header) {
      files.push({ name: header[2] ?? '', lines: [] })
    } else if (files.length === 0) {
      files.push({ name: '', lines: [line] })
    } else if (!/^(---|\+\+\+) /.test(line) || files.at(-1)?.lines.some((known) => known.startsWith('@@'))) {
      files.at(-1)?.lines.push(line)
    }
  }
  return files
}

function toneOf(line: string): string {
  if (line.startsWith('+')) return 'bg-good-soft text-good'
  if (line.startsWith('-')) return 'bg-bad-soft text-bad'
  return line.startsWith('@@') ? 'bg-sunken text-muted' : ''
}

export function Difference({ props }: ElementOf<'Difference'>) {
  return (
    <section aria-label={props.label} className="flex flex-col gap-2">
      {props.text !== '' &&
        filesOf(props.text).map(({ name, lines }, index) => (
          <figure key={index} className="overflow-hidden rounded-md border bg-surface">
            {name !== '' && (
              <figcaption className="border-b bg-sunken px-3 py-1.5 font-mono text-xs font-medium break-all">
                {name}
              </figcaption>
            )}
            {/* It scrolls, so the keyboard must reach it. */}
            <pre tabIndex={0} className="overflow-x-auto py-1 font-mono text-xs leading-5">
              {lines.map((line, number) => (
                <span key={number} className={cn('block min-w-max px-3', toneOf(line))}>
                  {line === '' ? '\u00a0' : line}
                </span>
              ))}
            </pre>
          </figure>
        ))}
    </section>
  )
}
