import { Tooltip as Primitive } from 'radix-ui'
import type { ReactNode } from 'react'

export function Tooltip({
  text,
  side = 'top',
  children,
}: {
  text: string | undefined
  side?: 'top' | 'right' | 'bottom'
  children: ReactNode
}) {
  if (!text) return children
  return (
    <Primitive.Provider delayDuration={350}>
      <Primitive.Root>
        <Primitive.Trigger asChild>{children}</Primitive.Trigger>
        <Primitive.Portal>
          <Primitive.Content
            side={side}
            sideOffset={6}
            className="z-50 max-w-64 animate-appear rounded-md bg-foreground px-2 py-1 text-xs text-background shadow-soft"
          >
            {text}
          </Primitive.Content>
        </Primitive.Portal>
      </Primitive.Root>
    </Primitive.Provider>
  )
}
