/** Components that show text. */
import { useContext, useEffect, useState } from 'react'
import { CircleAlert, CircleCheck, Info, TriangleAlert, X } from 'lucide-react'
import type { ElementOf } from '@/element'
import { HeadingLevel } from '@/components/heading-level'
import { Symbol } from '@/components/symbol'
import { SOFT_TONES, TEXT_TONES } from '@/components/tones'
import { Badge as BadgeMark } from '@/components/ui/badge'
import { cn } from '@/lib/cn'

export function Heading({ props }: ElementOf<'Heading'>) {
  const className = 'min-w-0 font-semibold wrap-anywhere'
  return useContext(HeadingLevel) === 2 ? (
    <h2 className={className}>{props.text}</h2>
  ) : (
    <h3 className={className}>{props.text}</h3>
  )
}

export function Text({ props, children }: ElementOf<'Text'>) {
  return (
    <p
      className={cn(
        'min-w-0 wrap-anywhere',
        props.tone && TEXT_TONES[props.tone],
        props.small && 'text-xs',
        props.mono && 'font-mono',
        props.wide && 'max-md:hidden',
      )}
    >
      {children}
    </p>
  )
}

export function Badge({ props }: ElementOf<'Badge'>) {
  return props.text ? <BadgeMark tone={props.tone ?? 'neutral'}>{props.text}</BadgeMark> : null
}

export function Bullets({ props }: ElementOf<'Bullets'>) {
  return (
    <ul className="flex list-disc flex-col gap-0.5 pl-5 text-sm marker:text-muted">
      {props.items.map((item) => (
        <li key={item}>{item}</li>
      ))}
    </ul>
  )
}

export function Entry({ props, children }: ElementOf<'Entry'>) {
  return (
    <div className="flex min-w-0 flex-wrap items-center gap-x-3 gap-y-1 border-b py-2 last:border-b-0">
      <span className="grid size-7 shrink-0 place-items-center rounded-full bg-sunken text-muted">
        <Symbol name={props.icon} className="size-3.5" />
      </span>
      <div className="min-w-0 flex-[1_1_11rem]">
        <p className={cn('wrap-anywhere', props.muted && 'text-muted line-through decoration-1')}>
          {props.text}
        </p>
        <p className="text-xs wrap-anywhere text-muted">{props.meta}</p>
      </div>
      <div className="flex ml-auto shrink-0 items-center gap-1 empty:hidden">{children}</div>
    </div>
  )
}

const ALERT_ICONS = {
  bad: CircleAlert,
  warning: TriangleAlert,
  good: CircleCheck,
  info: Info,
  neutral: Info,
  accent: Info,
}

export function Alert({ props, send }: ElementOf<'Alert'>) {
  const Icon = ALERT_ICONS[props.tone]
  return (
    <div
      role={props.tone === 'bad' ? 'alert' : 'note'}
      className={cn(
        'flex animate-appear items-start gap-2.5 rounded-lg border p-3 text-sm',
        SOFT_TONES[props.tone],
      )}
    >
      <Icon aria-hidden className={cn('mt-0.5 size-4 shrink-0', TEXT_TONES[props.tone])} />
      <div className="min-w-0 flex-1 wrap-anywhere">
        <p className="font-medium whitespace-pre-line">{props.title}</p>
        {props.text && <p className="text-muted first-letter:uppercase">{props.text}</p>}
        {props.items && (
          <ul className="mt-1 list-disc pl-4 text-muted">
            {props.items.map((item) => (
              <li key={item}>{item}</li>
            ))}
          </ul>
        )}
      </div>
      {props.closable && (
        <button
          type="button"
          aria-label="Dismiss"
          onClick={() => send('close', null)}
          className="rounded p-0.5 text-muted hover:text-foreground"
        >
          <X aria-hidden className="size-4" />
        </button>
      )}
    </div>
  )
}

export function EmptyState({ props, children }: ElementOf<'EmptyState'>) {
  return (
    <div
      data-wide={props.wide || undefined}
      className={cn(
        'flex flex-col items-center gap-3 rounded-lg border border-dashed px-6 py-14 text-center',
        props.wide && 'max-lg:hidden',
      )}
    >
      <span className="grid size-10 place-items-center rounded-full bg-accent-soft text-accent">
        <Symbol name={props.icon} className="size-5" />
      </span>
      <div>
        <p className="font-semibold">{props.title}</p>
        <p className="mx-auto max-w-md text-sm text-muted">{props.text}</p>
      </div>
      <div className="flex flex-wrap justify-center gap-2">{children}</div>
    </div>
  )
}

export function Progress({ props }: ElementOf<'Progress'>) {
  const known = props.value !== undefined
  return (
    <div className="flex animate-late flex-col gap-1.5">
      <p className="text-sm text-muted">{props.label} …</p>
      <div
        role="progressbar"
        aria-label={props.label}
        {...(known ? { 'aria-valuenow': Math.round((props.value ?? 0) * 100) } : {})}
        className="h-1 overflow-hidden rounded-full bg-accent-soft"
      >
        <div
          data-bar
          className={cn(
            'h-full rounded-full bg-primary',
            known ? 'transition-[width]' : 'w-1/3 animate-sweep',
          )}
          style={known ? { width: `${(props.value ?? 0) * 100}%` } : undefined}
        />
      </div>
    </div>
  )
}

const SHOWN_FOR = 5000

/** Two places take turns, so that the same words twice are said twice. */
export function LiveRegion({ props }: ElementOf<'LiveRegion'>) {
  const { text, count, shown } = props
  const [over, setOver] = useState(0)
  useEffect(() => {
    if (!shown) return
    const timer = setTimeout(() => setOver(count), SHOWN_FOR)
    return () => clearTimeout(timer)
  }, [shown, count])
  return (
    <>
      <div role="status" aria-live="polite" className="sr-only">
        <span>{count % 2 === 0 ? text : ''}</span>
        <span>{count % 2 === 1 ? text : ''}</span>
      </div>
      {shown && over !== count && (
        <p
          aria-hidden
          key={count}
          className="fixed right-4 bottom-18 z-30 flex max-w-[min(28rem,calc(100vw-2rem))] animate-appear items-center gap-2 rounded-lg border bg-surface px-3 py-2 text-sm shadow-soft md:right-6 md:bottom-5"
        >
          <Info aria-hidden className="size-4 shrink-0 text-accent" />
          <span className="min-w-0 wrap-anywhere">{text}</span>
        </p>
      )}
    </>
  )
}
