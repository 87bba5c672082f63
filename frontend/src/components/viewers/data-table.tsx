/** A table of records: sorted by its headings, filtered, only the rows in sight drawn. */
import { useMemo, useRef, useState } from 'react'
import {
  columnFilteringFeature,
  createColumnHelper,
  createFilteredRowModel,
  createSortedRowModel,
  globalFilteringFeature,
  rowSortingFeature,
  filterFn_includesString,
  sortFn_alphanumeric,
  sortFn_basic,
  sortFn_text,
  tableFeatures,
  useTable,
} from '@tanstack/react-table'
import { useVirtualizer } from '@tanstack/react-virtual'
import { ArrowDown, ArrowUp } from 'lucide-react'
import { controlClass } from '@/components/ui/field'
import { cn } from '@/lib/cn'
import { showCell, type TableData } from './table-data'

const FEATURES = tableFeatures({
  columnFilteringFeature,
  globalFilteringFeature,
  rowSortingFeature,
  filteredRowModel: createFilteredRowModel(),
  sortedRowModel: createSortedRowModel(),
  sortFns: { alphanumeric: sortFn_alphanumeric, basic: sortFn_basic, text: sortFn_text },
  filterFns: { includesString: filterFn_includesString },
})
const HELPER = createColumnHelper<typeof FEATURES, Record<string, unknown>>()
const ROW = 29
const SORTED = { asc: 'ascending', desc: 'descending' } as const

export default function DataTable({ data, label }: { data: TableData; label: string }) {
  const scroller = useRef<HTMLDivElement>(null)
  const [query, setQuery] = useState('')
  const columns = useMemo(
    () =>
      HELPER.columns(
        data.columns.map((name) => HELPER.accessor((row) => plain(row[name]), { id: name, header: name })),
      ),
    [data],
  )
  const numbers = useMemo(() => numberColumns(data), [data])
  const table = useTable({
    features: FEATURES,
    columns,
    data: data.rows,
    state: { globalFilter: query },
    globalFilterFn: 'includesString',
  })
  const rows = table.getRowModel().rows
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 12,
  })
  const items = virtual.getVirtualItems()
  const before = items[0]?.start ?? 0
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0)
  return (
    <div className="flex flex-col gap-2">
      <div className="flex flex-wrap items-center gap-3 pr-20">
        <input
          type="search"
          aria-label="Filter rows"
          placeholder="Filter rows"
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          className={cn(controlClass, 'h-8 max-w-72')}
        />
        <span className="text-xs text-muted tabular-nums">
          {rows.length === data.rows.length ? '' : `${rows.length} of `}
          {data.rows.length} rows
        </span>
      </div>
      <div
        ref={scroller}
        tabIndex={0}
        role="region"
        aria-label={label}
        className="max-h-[65vh] overflow-auto rounded-lg border bg-surface"
      >
        <table aria-label={label} aria-rowcount={rows.length} className="w-full border-collapse text-sm">
          <thead className="sticky top-0 z-10 bg-sunken">
            {table.getHeaderGroups().map((group) => (
              <tr key={group.id} className="border-b text-left text-xs text-muted">
                {group.headers.map((header) => {
                  const sorted = header.column.getIsSorted()
                  const atEnd = numbers.has(header.column.id)
                  return (
                    <th
                      key={header.id}
                      scope="col"
                      aria-sort={sorted ? SORTED[sorted] : 'none'}
                      className="p-0 font-medium"
                    >
                      <button
                        type="button"
                        onClick={header.column.getToggleSortingHandler()}
                        className={cn(
                          'flex w-full items-center gap-1 px-3 py-1.5 whitespace-nowrap hover:text-foreground',
                          atEnd && 'justify-end',
                        )}
                      >
                        {header.column.id}
                        {sorted === 'asc' && <ArrowUp aria-hidden className="size-3" />}
                        {sorted === 'desc' && <ArrowDown aria-hidden className="size-3" />}
                      </button>
                    </th>
                  )
                })}
              </tr>
            ))}
          </thead>
          <tbody>
            {before > 0 && <tr aria-hidden style={{ height: before }} />}
            {items.map(({ index }) => {
              const row = rows[index]
              return row ? (
                <tr key={row.id} className="border-b last:border-b-0 hover:bg-sunken" style={{ height: ROW }}>
                  {row.getAllCells().map((cell) => {
                    const value = cell.getValue()
                    return (
                      <td
                        key={cell.id}
                        title={showCell(value)}
                        className={cn(
                          'max-w-96 truncate px-3 py-1',
                          numbers.has(cell.column.id) && 'text-right tabular-nums',
                        )}
                      >
                        {showCell(value)}
                      </td>
                    )
                  })}
                </tr>
              ) : null
            })}
            {after > 0 && <tr aria-hidden style={{ height: after }} />}
          </tbody>
        </table>
      </div>
    </div>
  )
}

/** The columns that hold nothing but numbers, as far as the first rows tell. */
function numberColumns({ columns, rows }: TableData): ReadonlySet<string> {
  const first = rows.slice(0, 100)
  return new Set(
    columns.filter((name) => {
      const values = first.map((row) => row[name]).filter((value) => value !== null && value !== undefined)
      return values.length > 0 && values.every((value) => typeof value === 'number')
    }),
  )
}

/** Nested values are filtered and sorted as the text that is shown. */
function plain(value: unknown): unknown {
  return value !== null && typeof value === 'object' ? showCell(value) : (value ?? undefined)
}
