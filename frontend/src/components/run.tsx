/** What is live of a run beside its graph: the summary, and the details of one node. */
import { useEffect, useMemo, useRef, useState } from 'react'
import type { ElementOf } from '@/element'
import type { LiveRun, NodeRun } from '@/store/runs'
import { STATE_TONES } from '@/components/tones'
import { Badge } from '@/components/ui/badge'
import { useNodeRun, useRun } from '@/store/context'
import { playerTitle, seconds, size } from '@/lib/words'

/** Seconds since the run began; counts on while it is running. */
export function useElapsed(run: LiveRun | undefined): number {
  const [now, setNow] = useState(() => performance.now())
  const running = run?.status === 'running'
  useEffect(() => {
    if (!running) return
    const timer = setInterval(() => setNow(performance.now()), 200)
    return () => clearInterval(timer)
  }, [running])
  if (!run) return 0
  return running ? run.seconds + Math.max(0, now - run.taken) / 1000 : run.seconds
}

export function RunSummary({ props }: ElementOf<'RunSummary'>) {
  const run = useRun(props.run)
  const elapsed = useElapsed(run)
  const counts = useMemo(() => {
    const found = new Map<string, number>()
    for (const { status } of run?.nodes.values() ?? []) found.set(status, (found.get(status) ?? 0) + 1)
    return found
  }, [run])
  if (!run) return null
  const done = counts.get('succeeded') ?? 0
  const failed = counts.get('failed') ?? 0
  const skipped = counts.get('skipped') ?? 0
  return (
    <div className="flex flex-wrap items-center gap-1.5" data-run={run.id} data-run-state={run.status}>
      <Badge tone={STATE_TONES[run.status] ?? 'neutral'}>{run.status}</Badge>
      <Badge>
        {done} of {run.nodes.size} done
      </Badge>
      {failed > 0 && <Badge tone="bad">{failed} failed</Badge>}
      {skipped > 0 && <Badge>{skipped} skipped</Badge>}
      <Badge>{seconds(elapsed)}</Badge>
    </div>
  )
}

/** Why it ran, and what it waited for and used; nothing while nothing of it is known. */
function NodeFacts({ node }: { node: NodeRun }) {
  const facts: [string, string][] = []
  if (node.ran_because) facts.push(['Ran because', node.ran_because])
  if (node.fallback) facts.push(['Answered by', playerTitle(node.fallback)])
  // A wait that nobody would notice is no news.
  if ((node.queue_seconds ?? 0) >= 0.05) facts.push(['Waited', seconds(node.queue_seconds ?? 0)])
  if (node.cpu_seconds != null) facts.push(['CPU', seconds(node.cpu_seconds)])
  if (node.peak_memory != null) facts.push(['Memory, at most', size(node.peak_memory)])
  if (facts.length === 0) return null
  return (
    <dl className="flex flex-wrap gap-x-5 gap-y-1 text-xs">
      {facts.map(([name, fact]) => (
        <div key={name} className="flex min-w-0 gap-1.5">
          <dt className="text-muted">{name}</dt>
          <dd className="wrap-anywhere">{fact}</dd>
        </div>
      ))}
    </dl>
  )
}

export function NodeDetails({ props }: ElementOf<'NodeDetails'>) {
  const node = useNodeRun(props.run, props.node)
  const place = useRef<HTMLDivElement>(null)
  const known = node !== undefined
  // A row of the timeline stands below the details that it opens.
  useEffect(() => {
    if (known && document.activeElement?.closest('[data-timeline]'))
      place.current?.closest('section')?.scrollIntoView({ block: 'nearest' })
  }, [known, props.node])
  if (!node) return <p className="text-sm text-muted">Nothing is known of this step yet.</p>
  const { error } = node
  const lasted = node.started !== null && node.ended !== null ? node.ended - node.started : null
  return (
    <div ref={place} className="flex flex-col gap-3 text-sm">
      <div className="flex flex-wrap items-center gap-1.5">
        <Badge tone={STATE_TONES[node.status] ?? 'neutral'}>{node.status}</Badge>
        <span className="font-medium">{playerTitle(node.player)}</span>
        <span className="font-mono text-xs text-muted">{node.player}</span>
        {node.attempts > 1 && <Badge>{node.attempts} attempts</Badge>}
        {node.cached && <Badge tone="accent">from the cache</Badge>}
        {node.started !== null && <Badge>began at {seconds(node.started)}</Badge>}
        {lasted !== null && <Badge>took {seconds(lasted)}</Badge>}
      </div>
      <NodeFacts node={node} />
      {node.waits_for && <p className="first-letter:uppercase">{node.waits_for}</p>}
      {node.note && node.status === 'running' && <p className="text-muted">{node.note}</p>}
      {node.progress !== null && node.status === 'running' && (
        <div
          role="progressbar"
          aria-label="Progress of this step"
          aria-valuenow={Math.round(node.progress * 100)}
          className="h-1 overflow-hidden rounded-full bg-info-soft"
        >
          <div
            data-bar
            className="h-full bg-info transition-[width]"
            style={{ width: `${node.progress * 100}%` }}
          />
        </div>
      )}
      {error && (
        <div className="flex flex-col gap-1 rounded-md border border-bad/35 bg-bad-soft p-3">
          <p className="font-medium wrap-anywhere whitespace-pre-line text-bad">
            {error.message ?? error.code ?? 'It failed'}
          </p>
          {error.remedy && <p className="wrap-anywhere first-letter:uppercase">{error.remedy}</p>}
          {error.traceback && (
            <details className="pt-1">
              <summary className="w-fit rounded text-xs font-medium text-muted hover:text-foreground">
                Where in the Player
              </summary>
              <pre
                tabIndex={0}
                className="mt-1 max-h-64 overflow-auto font-mono text-xs wrap-anywhere whitespace-pre-wrap"
              >
                {error.traceback}
              </pre>
            </details>
          )}
        </div>
      )}
    </div>
  )
}
