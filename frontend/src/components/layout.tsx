/** Components that only place their children. */
import { useId } from 'react'
import { Puzzle, X } from 'lucide-react'
import type { ElementOf } from '@/element'
import { HeadingLevel } from '@/components/heading-level'
import { SOFT_TONES } from '@/components/tones'
import { cn } from '@/lib/cn'

const GAPS = { none: 'gap-0', small: 'gap-2', normal: 'gap-4', large: 'gap-6' }

export function View({ props, children }: ElementOf<'View'>) {
  return (
    <div className="mx-auto flex w-full max-w-[96rem] has-[[data-list-first]]:max-w-[150rem] animate-appear flex-col gap-4 px-4 py-4 md:px-6 md:py-5">
      <header className="flex flex-col gap-0.5">
        <h1 className="text-xl font-semibold tracking-tight">{props.title}</h1>
        {props.text && <p className="text-sm text-muted">{props.text}</p>}
      </header>
      {children}
    </div>
  )
}

export function Stack({ props, children }: ElementOf<'Stack'>) {
  return (
    <div
      className={cn(
        'flex min-w-0 flex-col',
        GAPS[props.gap ?? 'normal'],
        // The room at the edges is for the focus rings of what scrolls.
        props.scroll && '-mx-1 -mb-1 min-h-0 overflow-y-auto px-1 pb-1',
      )}
    >
      {children}
    </div>
  )
}

export function Line({ props, children }: ElementOf<'Line'>) {
  return (
    <div
      className={cn(
        'flex min-w-0 flex-wrap items-center',
        GAPS[props.gap ?? 'small'],
        props.spread && 'sm:[&>*:last-child:not(:first-child)]:ml-auto',
      )}
    >
      {children}
    </div>
  )
}

export function Grid({ props, children }: ElementOf<'Grid'>) {
  return (
    <div
      className={cn('grid', props.roomy ? 'gap-x-6 gap-y-4' : 'gap-2')}
      style={{ gridTemplateColumns: `repeat(auto-fill, minmax(min(${props.least ?? 16}rem, 100%), 1fr))` }}
    >
      {children}
    </div>
  )
}

/** A list at the start scrolls by itself: beside what it opens where it is wide, above it where it is narrow. */
const LIST_FIRST =
  'lg:grid-cols-[18rem_minmax(0,1fr)] min-[112rem]:grid-cols-[24rem_minmax(0,1fr)] lg:[&>*:first-child]:sticky lg:[&>*:first-child]:top-4 lg:[&>*:first-child]:max-h-[calc(100dvh-6.5rem)] max-lg:[&:not(:has(>[data-wide]))>*:first-child]:max-h-72'

export function Split({ props, children }: ElementOf<'Split'>) {
  return (
    <div
      data-list-first={props.side === 'start' || undefined}
      className={cn(
        'grid min-w-0 items-start gap-5 [&>*]:min-w-0',
        props.side === 'start' ? LIST_FIRST : 'lg:grid-cols-[minmax(0,1fr)_21rem]',
      )}
    >
      {children}
    </div>
  )
}

export function Section({ props, children }: ElementOf<'Section'>) {
  const title = useId()
  return (
    <section
      aria-labelledby={title}
      className={cn('flex min-w-0 flex-col gap-3', !props.quiet && 'rounded-lg border bg-surface p-4')}
    >
      <div>
        <h2 id={title} className="text-sm font-semibold">
          {props.title}
        </h2>
        {props.text && <p className="text-xs text-muted">{props.text}</p>}
      </div>
      <HeadingLevel value={3}>{children}</HeadingLevel>
    </section>
  )
}

/** What an extension shows stays inside its frame: it cannot be drawn over what the host says. */
export function Foreign({ props, send, children }: ElementOf<'Foreign'>) {
  const title = useId()
  return (
    <section
      aria-labelledby={title}
      className="relative isolate flex min-w-0 flex-col overflow-hidden rounded-lg border border-dashed border-border-strong bg-surface [contain:layout_paint]"
    >
      <div className="flex min-w-0 items-center gap-2 border-b border-dashed border-border-strong bg-sunken px-3 py-1.5">
        <Puzzle aria-hidden className="size-3.5 shrink-0 text-muted" />
        <h2 id={title} className="min-w-0 truncate text-sm font-semibold">
          {props.title}
        </h2>
        <span className="min-w-0 flex-1 truncate text-xs text-muted">from {props.source}</span>
        {props.closable && (
          <button
            type="button"
            aria-label={`Close ${props.title}`}
            onClick={() => send('close', null)}
            className="rounded p-1 text-muted hover:bg-surface hover:text-foreground"
          >
            <X aria-hidden className="size-3.5" />
          </button>
        )}
      </div>
      <div className="flex min-w-0 flex-col gap-3 p-3">
        <HeadingLevel value={3}>{children}</HeadingLevel>
      </div>
    </section>
  )
}

export function Card({ props, children }: ElementOf<'Card'>) {
  return (
    <div
      className={cn('flex min-w-0 flex-col gap-2 rounded-lg border p-3', SOFT_TONES[props.tone ?? 'neutral'])}
    >
      {children}
    </div>
  )
}

export function Article({ props, children }: ElementOf<'Article'>) {
  return (
    <article
      aria-label={props.label}
      className={cn(
        'flex min-w-0 flex-col gap-2 rounded-lg border bg-surface p-3.5',
        props.muted && 'bg-sunken',
      )}
    >
      {children}
    </article>
  )
}
