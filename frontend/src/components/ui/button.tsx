import { cva, type VariantProps } from 'class-variance-authority'
import type { ComponentProps } from 'react'
import { cn } from '@/lib/cn'

export const buttonVariants = cva(
  'inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md border font-medium whitespace-nowrap transition-colors select-none disabled:pointer-events-none disabled:opacity-50 aria-disabled:cursor-not-allowed aria-disabled:opacity-50 [&_svg]:size-4 [&_svg]:shrink-0',
  {
    variants: {
      variant: {
        primary: 'border-transparent bg-primary text-on-primary shadow-xs hover:bg-primary-hover',
        secondary:
          'border-border bg-surface text-foreground shadow-xs hover:border-border-strong hover:bg-sunken',
        ghost: 'border-transparent text-muted hover:bg-sunken hover:text-foreground',
        danger: 'border-border bg-surface text-bad hover:border-bad hover:bg-bad-soft',
      },
      size: {
        normal: 'h-8 px-3 text-sm',
        small: 'h-7 px-2.5 text-xs',
        icon: 'size-8',
      },
    },
    defaultVariants: { variant: 'secondary', size: 'normal' },
  },
)

export function Button({
  className,
  variant,
  size,
  ...props
}: ComponentProps<'button'> & VariantProps<typeof buttonVariants>) {
  return (
    <button
      type="button"
      data-main={variant === 'primary' || undefined}
      className={cn(buttonVariants({ variant, size }), className)}
      {...props}
    />
  )
}
