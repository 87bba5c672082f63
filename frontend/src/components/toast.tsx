/** An offer beside the view: it stays for a while, and as long as somebody points at it or is in it. */
import { useEffect, useState } from 'react'
import { X } from 'lucide-react'
import type { ElementOf } from '@/element'
import { Symbol } from '@/components/symbol'
import { Button } from '@/components/ui/button'

const SHOWN_FOR = 12_000

export function Toast({ props, send }: ElementOf<'Toast'>) {
  const { text, label, count } = props
  const [held, setHeld] = useState(false)
  useEffect(() => {
    if (held) return
    const timer = setTimeout(() => send('close', count), SHOWN_FOR)
    return () => clearTimeout(timer)
  }, [held, count, text, send])
  return (
    <section
      aria-label="What was just done"
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
      onKeyDown={(event) => event.key === 'Escape' && send('close', null)}
      className="fixed right-4 bottom-18 z-30 flex max-w-[min(30rem,calc(100vw-2rem))] animate-appear items-center gap-2 rounded-lg border bg-surface py-1.5 pr-1.5 pl-3 text-sm shadow-soft md:right-6 md:bottom-5"
    >
      <span className="min-w-0 wrap-anywhere">{text}</span>
      <Button size="small" variant="ghost" onClick={() => send('press', null)} className="text-accent">
        <Symbol name={label.toLowerCase()} className="size-3.5" />
        {label}
      </Button>
      <button
        type="button"
        aria-label="Put away"
        onClick={() => send('close', null)}
        className="grid size-7 shrink-0 place-items-center rounded-md text-muted hover:bg-sunken hover:text-foreground"
      >
        <X aria-hidden className="size-3.5" />
      </button>
    </section>
  )
}
