import { cleanup, render, screen } from '@testing-library/react'
import { afterEach, describe, expect, it } from 'vitest'
import { NodeDetails } from '@/components/run'
import { PageContext } from '@/store/context'
import { PageStore } from '@/store/page'
import type { NodeRun } from '@/store/runs'

const NODE: NodeRun = {
  id: 'log',
  player: 'symphony/git#log',
  status: 'succeeded',
  attempts: 1,
  cached: false,
  started: 0.1,
  ended: 0.4,
  artifacts: [],
  error: null,
  progress: null,
  note: '',
}

function show(node: Partial<NodeRun>) {
  const page = new PageStore('ws://127.0.0.1:1/ws', {})
  page.runs.seed({ id: 'r', name: 'x', status: 'succeeded', seconds: 1, nodes: [{ ...NODE, ...node }] })
  render(
    <PageContext value={page}>
      <NodeDetails id="details" props={{ run: 'r', node: 'log' }} send={() => undefined}>
        {null}
      </NodeDetails>
    </PageContext>,
  )
}

describe('the details of a step', () => {
  afterEach(cleanup)

  it('say why it ran and what it took', () => {
    show({
      ran_because: 'parameter since changed from 90d to 30d',
      cpu_seconds: 0.25,
      peak_memory: 52_000_000,
      queue_seconds: 1.5,
      fallback: 'symphony/files#list',
    })
    const facts = {
      'Ran because': 'parameter since changed from 90d to 30d',
      CPU: '250 ms',
      'Memory, at most': '52.0 MB',
      Waited: '1.5 s',
      'Answered by': 'files · list',
    }
    for (const [name, fact] of Object.entries(facts))
      expect(screen.getByText(name).nextElementSibling?.textContent).toBe(fact)
  })

  it('say what the step says last only while it runs', () => {
    show({ note: 'testing.py', status: 'running' })
    expect(screen.queryByText('testing.py')).not.toBeNull()
    cleanup()
    show({ note: 'testing.py' })
    expect(screen.queryByText('testing.py')).toBeNull()
  })

  it('say nothing of what is not known', () => {
    show({ queue_seconds: 0.001, cpu_seconds: null })
    expect(document.querySelector('dl')).toBeNull()
  })
})
