/** Rows of short texts; the whole row is chosen by its first cell, which is a button. */
import type { ElementOf } from '@/element'
import { TEXT_TONES } from '@/components/tones'
import { cn } from '@/lib/cn'

export function Table({ props, send }: ElementOf<'Table'>) {
  return (
    <div className="overflow-x-auto rounded-md border bg-surface">
      <table aria-label={props.label} className="w-full border-collapse text-sm">
        <thead>
          <tr className="border-b bg-sunken text-left text-xs text-muted">
            {props.columns.map(({ id, label, end }) => (
              <th key={id} scope="col" className={cn('px-3 py-1.5 font-medium', end && 'text-right')}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map(({ id, cells, tone }) => (
            <tr
              key={id}
              aria-current={id === props.current ? 'true' : undefined}
              className={cn(
                'relative border-b last:border-b-0 aria-[current=true]:bg-accent-soft',
                !props.still && 'hover:bg-sunken',
                tone && TEXT_TONES[tone],
              )}
            >
              {cells.map((cell, index) => (
                <td
                  key={index}
                  className={cn('px-3 py-1.5', props.columns[index]?.end && 'text-right tabular-nums')}
                >
                  {index === 0 && !props.still ? (
                    <button
                      type="button"
                      onClick={() => send('select', id)}
                      className="text-left font-medium after:absolute after:inset-0"
                    >
                      {cell}
                    </button>
                  ) : (
                    cell
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
