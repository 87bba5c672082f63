import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { Connection, type ConnectionState } from '@/connection'

interface Sent {
  id: number
  method: string
  params: Record<string, unknown>
}

/** A host's socket that remembers what it was sent and is cut when the test says so. */
class FakeSocket {
  static readonly OPEN = 1
  static all: FakeSocket[] = []
  readyState = 0
  sent: Sent[] = []
  onopen: () => void = () => undefined
  onmessage: (event: { data: string }) => void = () => undefined
  onclose: (event: { code: number }) => void = () => undefined

  constructor() {
    FakeSocket.all.push(this)
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Sent)
  }

  accept(): void {
    this.readyState = FakeSocket.OPEN
    this.onopen()
  }

  async answer(id: number, result: unknown): Promise<void> {
    this.onmessage({ data: JSON.stringify({ jsonrpc: '2.0', id, result }) })
    await vi.advanceTimersByTimeAsync(0)
  }

  cut(code = 1006): void {
    this.readyState = 3
    this.onclose({ code })
  }
}

function last(): FakeSocket {
  const socket = FakeSocket.all.at(-1)
  if (!socket) throw new Error('nothing was opened')
  return socket
}

async function joined(continued: boolean): Promise<void> {
  last().accept()
  const first = last().sent[0]
  expect(first?.method).toBe('authenticate')
  await last().answer(first?.id ?? 0, { authenticated: true, continued })
}

describe('a connection that breaks', () => {
  let states: ConnectionState[]
  let connection: Connection

  beforeEach(() => {
    vi.useFakeTimers()
    vi.stubGlobal('WebSocket', FakeSocket)
    FakeSocket.all = []
    states = []
    connection = new Connection(
      'ws://host',
      { token: 't' },
      {
        notify: () => undefined,
        opened: () => undefined,
        state: (state) => states.push(state),
      },
    )
    connection.open()
  })

  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it('asks again with the same ids, as the same load, and gets each answer once', async () => {
    await joined(false)
    const answered = vi.fn()
    void connection.request('getMetrics', {}).then(answered)
    connection.send('key', 'press', null)
    const asked = last().sent.slice(1)
    const load = last().sent[0]?.params.load
    last().cut()
    expect(answered).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(300)
    // Cut once more before the host has let it in.
    last().accept()
    last().cut()
    await vi.advanceTimersByTimeAsync(600)
    await joined(true)
    expect(last().sent[0]?.params.load).toBe(load)
    expect(last().sent.slice(1)).toEqual(asked)
    await last().answer(asked[0]?.id ?? 0, { runs: 1 })
    await last().answer(asked[0]?.id ?? 0, { runs: 2 })
    expect(answered.mock.calls).toEqual([[{ runs: 1 }]])
    expect(states.at(-1)).toBe('open')
  })

  it('does not ask a host that knows nothing of it', async () => {
    await joined(false)
    const asked = connection.request('executeMelody', {})
    const lost = expect(asked).rejects.toThrow('The connection was lost')
    last().cut()
    await vi.advanceTimersByTimeAsync(300)
    await joined(false)
    await lost
    expect(last().sent).toHaveLength(1)
  })

  it('gives everything up when it is refused', async () => {
    await joined(false)
    const lost = expect(connection.request('getMetrics', {})).rejects.toThrow('The connection was lost')
    last().cut()
    await vi.advanceTimersByTimeAsync(300)
    last().accept()
    last().cut(4401)
    await lost
    expect(states.at(-1)).toBe('refused')
  })
})
