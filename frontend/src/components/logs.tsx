/** Log records of a run or a node: fetched, fetched again when the run moves on, filtered in the page. */
import { useEffect, useState } from 'react'
import type { ElementOf } from '@/element'
import { controlClass } from '@/components/ui/field'
import { useRun, usePage } from '@/store/context'
import { cn } from '@/lib/cn'

interface LogRecord {
  time: number | string
  level: string
  component: string
  node?: string | null
  message: string
}

const LEVELS: Record<string, string> = {
  error: 'text-bad',
  critical: 'text-bad',
  warning: 'text-warning',
  debug: 'text-muted',
}
const REFRESH_PAUSE = 1000

export function Logs({ props }: ElementOf<'Logs'>) {
  const { connection } = usePage()
  const run = useRun(props.run)
  const [records, setRecords] = useState<LogRecord[] | null>(null)
  const [problem, setProblem] = useState('')
  const [query, setQuery] = useState('')
  const [beat, setBeat] = useState(0)
  const running = run?.status === 'running'
  const { run: runId, node } = props

  useEffect(() => {
    let current = true
    connection
      .request<{ logs: LogRecord[] }>('getTaskLogs', { run: runId, ...(node ? { node } : {}) })
      .then(({ logs }) => {
        if (current) setRecords(logs)
      })
      .catch((error: unknown) => {
        if (current) setProblem(error instanceof Error ? error.message : String(error))
      })
    return () => {
      current = false
    }
  }, [connection, runId, node, beat, running])

  useEffect(() => {
    // Once more after the end: the last records are written when it is over.
    const again = () => setBeat((beat) => beat + 1)
    const timer = running ? setInterval(again, REFRESH_PAUSE) : setTimeout(again, REFRESH_PAUSE)
    return () => clearInterval(timer)
  }, [running])

  const wanted = query.toLowerCase()
  const shown = (records ?? []).filter((record) =>
    `${record.level} ${record.component} ${record.node ?? ''} ${record.message}`
      .toLowerCase()
      .includes(wanted),
  )
  return (
    <div className="flex flex-col gap-2">
      <input
        type="search"
        aria-label="Filter logs"
        placeholder="Filter logs"
        value={query}
        onChange={(event) => setQuery(event.target.value)}
        className={cn(controlClass, 'h-7 max-w-72')}
      />
      <div
        role="log"
        aria-label="Log records"
        tabIndex={0}
        className="max-h-80 overflow-auto rounded-md border bg-sunken p-2 font-mono text-xs"
      >
        {problem && <p className="text-bad">{problem}</p>}
        {records !== null && shown.length === 0 && (
          <p className="text-muted">
            {query ? 'No record matches.' : running ? 'No records yet.' : 'Nothing was logged.'}
          </p>
        )}
        {shown.map((record, index) => (
          <div key={index} className="flex gap-2.5 py-px">
            <span className="shrink-0 text-muted tabular-nums">{clock(record.time)}</span>
            <span className={cn('w-14 shrink-0', LEVELS[record.level])}>{record.level}</span>
            {!node && (
              <span className="w-28 shrink-0 truncate text-muted">{record.node ?? record.component}</span>
            )}
            <span className="min-w-0 whitespace-pre-wrap wrap-anywhere">{record.message}</span>
          </div>
        ))}
      </div>
    </div>
  )
}

function clock(time: number | string): string {
  const date = typeof time === 'number' ? new Date(time * 1000) : new Date(time)
  return Number.isNaN(date.getTime()) ? String(time) : date.toTimeString().slice(0, 8)
}
