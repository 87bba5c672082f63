import { Dialog as Primitive } from 'radix-ui'
import { X } from 'lucide-react'
import { useState, type ReactNode } from 'react'

export function Dialog({
  title,
  text,
  onClose,
  children,
}: {
  title: string
  text?: string | undefined
  onClose: () => void
  children: ReactNode
}) {
  // The host opens and closes dialogs, so that none has a trigger to give the focus back to.
  const [opener] = useState(() => document.activeElement)
  const giveBack = (event: Event) => {
    event.preventDefault()
    const known = opener instanceof HTMLElement && opener.isConnected && opener !== document.body
    ;(known ? opener : document.getElementById('view'))?.focus()
  }
  return (
    <Primitive.Root open onOpenChange={(open) => !open && onClose()}>
      <Primitive.Portal>
        <Primitive.Overlay className="fixed inset-0 z-40 bg-black/40 backdrop-blur-[1px]" />
        <Primitive.Content
          {...(text === undefined ? { 'aria-describedby': undefined } : {})}
          onCloseAutoFocus={giveBack}
          className="host-colors fixed top-1/2 left-1/2 z-50 flex max-h-[85dvh] w-[min(30rem,calc(100vw-2rem))] -translate-x-1/2 -translate-y-1/2 animate-appear flex-col gap-4 overflow-auto rounded-xl border bg-surface p-5 shadow-soft"
        >
          <div className="flex flex-col gap-1 pr-6">
            <Primitive.Title className="text-lg font-semibold">{title}</Primitive.Title>
            {text !== undefined && (
              <Primitive.Description className="text-sm text-muted">{text}</Primitive.Description>
            )}
          </div>
          {children}
          <Primitive.Close
            aria-label="Close"
            className="absolute top-4 right-4 rounded p-1 text-muted hover:bg-sunken hover:text-foreground"
          >
            <X className="size-4" />
          </Primitive.Close>
        </Primitive.Content>
      </Primitive.Portal>
    </Primitive.Root>
  )
}
