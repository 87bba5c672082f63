/** Buttons, links and what opens: controls that send an event without a value. */
import { ChevronRight, Loader2 } from 'lucide-react'
import { ToggleGroup } from 'radix-ui'
import type { ElementOf } from '@/element'
import { HeadingLevel } from '@/components/heading-level'
import { Symbol } from '@/components/symbol'
import { TEXT_TONES } from '@/components/tones'
import { Button as UiButton } from '@/components/ui/button'
import { Dialog as UiDialog } from '@/components/ui/dialog'
import { Tooltip } from '@/components/ui/tooltip'
import { cn } from '@/lib/cn'

export function Button({ props, send }: ElementOf<'Button'>) {
  const { label, icon, busy, disabled, hint, submit } = props
  const example = icon === 'arrow'
  return (
    <Tooltip text={hint}>
      <UiButton
        type={submit ? 'submit' : 'button'}
        variant={props.variant ?? 'secondary'}
        size={props.small ? 'small' : 'normal'}
        // A disabled button that explains itself stays reachable, so that its hint can be read.
        disabled={hint ? undefined : (disabled ?? busy)}
        aria-disabled={disabled ?? busy}
        aria-busy={busy}
        onClick={(event) => {
          if (disabled || busy) event.preventDefault()
          else if (!submit) send('press', null)
        }}
        className={
          example ? 'h-auto min-h-9 justify-between gap-3 py-2 text-left whitespace-normal' : 'w-fit'
        }
      >
        {busy ? <Loader2 aria-hidden className="animate-spin" /> : !example && <Symbol name={icon} />}
        {label}
        {example && <Symbol name={icon} className="text-muted" />}
      </UiButton>
    </Tooltip>
  )
}

export function Link({ id, props, send }: ElementOf<'Link'>) {
  const about = `${id}-about`
  return (
    <div
      data-chosen={props.current || undefined}
      className={cn(
        'group relative flex min-w-0 items-start gap-2 rounded-md px-2 py-1.5 hover:bg-sunken',
        props.current && 'bg-accent-soft hover:bg-accent-soft',
      )}
    >
      <Symbol
        name={props.icon}
        className={cn(
          'mt-1 text-muted',
          props.icon === 'dot' && 'mt-1.5',
          props.tone && TEXT_TONES[props.tone],
        )}
      />
      <div className="min-w-0 flex-1">
        <a
          href={props.href}
          aria-label={props.label}
          aria-describedby={about}
          aria-current={props.current ? 'true' : undefined}
          title={props.label}
          onClick={(event) => {
            event.preventDefault()
            send('press', null)
          }}
          className="block truncate text-sm font-medium after:absolute after:inset-0 after:rounded-md focus-visible:outline-none focus-visible:after:outline-2 focus-visible:after:outline-ring"
        >
          {props.label}
        </a>
        {props.text && <p className="truncate text-xs text-muted">{props.text}</p>}
      </div>
      <span id={about} className="shrink-0 pt-0.5 text-xs text-muted tabular-nums">
        {props.meta}
      </span>
    </div>
  )
}

export function Segments({ props, send }: ElementOf<'Segments'>) {
  return (
    <ToggleGroup.Root
      type="single"
      aria-label={props.label}
      value={props.value}
      onValueChange={(value) => value && send('change', value)}
      className="inline-flex w-fit max-w-full rounded-md border bg-sunken p-0.5"
    >
      {props.options.map(({ value, label, hint }) => (
        <ToggleGroup.Item
          key={value}
          value={value}
          title={hint}
          className="rounded px-3 py-1 text-sm font-medium text-muted transition-colors hover:text-foreground data-[state=on]:bg-surface data-[state=on]:text-foreground data-[state=on]:shadow-xs data-[state=on]:ring-1 data-[state=on]:ring-border"
        >
          {label}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  )
}

export function Disclosure({ props, children }: ElementOf<'Disclosure'>) {
  return (
    <details open={props.open} className="min-w-0">
      <summary className="flex w-fit max-w-full list-none items-center gap-1 rounded text-xs font-medium text-muted hover:text-foreground [&::-webkit-details-marker]:hidden">
        <ChevronRight
          aria-hidden
          className="size-3.5 shrink-0 transition-transform [details[open]>summary>&]:rotate-90"
        />
        <span className="truncate">{props.label}</span>
      </summary>
      <div className="flex flex-col gap-3 pt-2 pl-1">
        <HeadingLevel value={3}>{children}</HeadingLevel>
      </div>
    </details>
  )
}

export function Dialog({ props, send, children }: ElementOf<'Dialog'>) {
  return (
    <UiDialog title={props.title} text={props.text} onClose={() => send('close', null)}>
      {children}
    </UiDialog>
  )
}
