import { Switch as Primitive } from 'radix-ui'
import type { ComponentProps } from 'react'
import { cn } from '@/lib/cn'

export function Switch({ className, ...props }: ComponentProps<typeof Primitive.Root>) {
  return (
    <Primitive.Root
      className={cn(
        'inline-flex h-4.5 w-8 shrink-0 items-center rounded-full border border-border-strong bg-sunken transition-colors disabled:opacity-50 data-[state=checked]:border-transparent data-[state=checked]:bg-primary',
        className,
      )}
      {...props}
    >
      <Primitive.Thumb className="block size-3.5 translate-x-px rounded-full bg-muted shadow-sm transition-transform data-[state=checked]:translate-x-[0.95rem] data-[state=checked]:bg-on-primary" />
    </Primitive.Root>
  )
}
