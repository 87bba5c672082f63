/** The command palette: everything that can be done, found by a few letters, with the keyboard alone. */
import { Command } from 'cmdk'
import { Dialog as Primitive } from 'radix-ui'
import { useState } from 'react'
import { Search } from 'lucide-react'
import type { ElementOf } from '@/element'

const ROW =
  'flex cursor-default items-baseline gap-3 rounded-md px-2.5 py-1.5 text-sm data-[selected=true]:bg-accent-soft data-[selected=true]:text-accent'
const GROUP =
  '[&>[cmdk-group-heading]]:px-2.5 [&>[cmdk-group-heading]]:pt-3 [&>[cmdk-group-heading]]:pb-1 [&>[cmdk-group-heading]]:text-xs [&>[cmdk-group-heading]]:font-medium [&>[cmdk-group-heading]]:text-muted'

export function Commands({ props, send }: ElementOf<'Commands'>) {
  const [opener] = useState(() => document.activeElement)
  const groups = [...new Set(props.items.map(({ group }) => group))]
  return (
    <Primitive.Root open onOpenChange={(open) => !open && send('close', null)}>
      <Primitive.Portal>
        <Primitive.Overlay className="fixed inset-0 z-40 bg-black/40 backdrop-blur-[1px]" />
        <Primitive.Content
          aria-describedby={undefined}
          onCloseAutoFocus={(event) => {
            event.preventDefault()
            const known = opener instanceof HTMLElement && opener.isConnected && opener !== document.body
            ;(known ? opener : document.getElementById('view'))?.focus()
          }}
          className="host-colors fixed top-[12dvh] left-1/2 z-50 w-[min(38rem,calc(100vw-1.5rem))] -translate-x-1/2 animate-appear overflow-hidden rounded-xl border bg-surface shadow-soft"
        >
          <Primitive.Title className="sr-only">Commands</Primitive.Title>
          <Command label="Search commands" loop>
            <div className="flex items-center gap-2.5 border-b px-4">
              <Search aria-hidden className="size-4 shrink-0 text-muted" />
              <Command.Input
                placeholder="What do you want to do?"
                className="h-12 min-w-0 flex-1 bg-transparent text-base outline-none placeholder:text-muted/80"
              />
            </div>
            <Command.List label="Commands" className="max-h-[min(26rem,60dvh)] overflow-auto p-1.5 pt-0">
              <Command.Empty className="px-2.5 py-6 text-center text-sm text-muted">
                {props.busy ? 'Still looking' : 'Nothing is called that. Try another word.'}
              </Command.Empty>
              {groups.map((group) => (
                <Command.Group key={group} heading={group} className={GROUP}>
                  {props.items
                    .filter((item) => item.group === group)
                    .map(({ id, label, hint }) => (
                      <Command.Item
                        key={id}
                        value={id}
                        keywords={[label, group, hint]}
                        onSelect={() => send('run', id)}
                        className={ROW}
                      >
                        <span className="shrink-0">{label}</span>
                        {hint && <span className="min-w-0 truncate text-xs text-muted">{hint}</span>}
                      </Command.Item>
                    ))}
                </Command.Group>
              ))}
            </Command.List>
          </Command>
        </Primitive.Content>
      </Primitive.Portal>
    </Primitive.Root>
  )
}
