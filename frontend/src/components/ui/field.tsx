/** A label, a control and its help, joined for assistive tools. */
import type { ReactNode } from 'react'
import { cn } from '@/lib/cn'

export const controlClass =
  'w-full min-w-0 rounded-md border border-border bg-surface px-2.5 text-sm text-foreground shadow-xs transition-colors placeholder:text-muted/80 hover:border-border-strong focus-visible:border-ring focus-visible:outline-2 focus-visible:outline-offset-0 focus-visible:outline-ring/35 disabled:opacity-50 aria-invalid:border-bad'

export function Field({
  control,
  label,
  text,
  problem,
  quiet,
  mark,
  className,
  children,
}: {
  /** Id of the control. */
  control: string
  label: string
  text?: string | undefined
  problem?: string | undefined
  quiet?: boolean | undefined
  /** A few words after the label. */
  mark?: string | undefined
  className?: string
  children: ReactNode
}) {
  return (
    <div className={cn('flex min-w-0 flex-col gap-1', className)}>
      <label htmlFor={control} className={quiet ? 'sr-only' : 'text-sm font-medium'}>
        {label}
        {mark && <Mark text={mark} />}
      </label>
      {children}
      {(text ?? problem) && (
        <p
          id={`${control}-text`}
          className={cn('text-xs', problem ? 'text-bad' : 'text-muted first-letter:uppercase')}
        >
          {problem ?? text}
        </p>
      )}
    </div>
  )
}

/** Says something of a value, such as where it came from; no part of the field's name. */
export function Mark({ text }: { text: string }) {
  return (
    <span aria-hidden className="ml-2 text-xs font-normal text-muted">
      {text}
    </span>
  )
}
