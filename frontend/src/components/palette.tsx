/** The Players that can be added: drag one onto the graph, or press it. */
import { useState } from 'react'
import { Plus } from 'lucide-react'
import type { ElementOf } from '@/element'
import { PLAYER_DRAG } from '@/components/graph/drag'
import { controlClass } from '@/components/ui/field'
import { cn } from '@/lib/cn'

export function Palette({ props, send }: ElementOf<'Palette'>) {
  const [query, setQuery] = useState('')
  const words = query.toLowerCase().split(/\s+/)
  const found = props.options.filter(({ value, hint }) => {
    const text = `${value} ${hint ?? ''}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
  return (
    <div className="flex flex-col gap-2">
      <input
        type="search"
        aria-label="Search steps"
        placeholder="Search steps"
        value={query}
        onChange={(event) => setQuery(event.target.value)}
        className={cn(controlClass, 'h-8')}
      />
      <ul className="-mx-1 flex max-h-72 flex-col overflow-auto">
        {found.map(({ value, label, hint }) => (
          <li key={value}>
            <button
              type="button"
              draggable
              onDragStart={(event) => {
                event.dataTransfer.setData(PLAYER_DRAG, value)
                event.dataTransfer.effectAllowed = 'copy'
              }}
              onClick={() => send('add', value)}
              className="flex w-full cursor-grab items-start gap-2 rounded-md px-2 py-1 text-left hover:bg-sunken"
            >
              <Plus aria-hidden className="mt-0.5 size-3.5 shrink-0 text-muted" />
              <span className="min-w-0">
                <span className="block text-sm font-medium">
                  <span className="sr-only">Add </span>
                  {label}
                </span>
                <span className="block truncate text-xs text-muted">{hint}</span>
              </span>
            </button>
          </li>
        ))}
        {found.length === 0 && <li className="px-2 py-1 text-sm text-muted">No Player does that.</li>}
      </ul>
    </div>
  )
}
