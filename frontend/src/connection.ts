/**
 * The one WebSocket to the host: JSON-RPC requests and notifications, with the token first, joined again when lost.
 * What was asked and not answered is asked again with the same id; the host does nothing twice.
 */

export type ConnectionState = 'connecting' | 'open' | 'lost' | 'refused'

export class RemoteError extends Error {
  readonly remedy: string

  constructor(message: string, remedy = '') {
    super(message)
    this.remedy = remedy
  }
}

interface Waiting {
  text: string
  resolve: (value: unknown) => void
  reject: (error: Error) => void
}

interface Message {
  id?: number | null
  method?: string
  params?: Record<string, unknown>
  result?: unknown
  error?: { message: string; data?: { message?: string; remedy?: string } }
}

export interface Handlers {
  notify: (method: string, params: Record<string, unknown>) => void
  opened: () => void
  state: (state: ConnectionState) => void
}

const FIRST_PAUSE = 250
const LONGEST_PAUSE = 5000
const UNAUTHORISED = 4401

export class Connection {
  #socket: WebSocket | null = null
  #next = 1
  #event = 1
  #authenticating = 0
  #pause = FIRST_PAUSE
  #state: ConnectionState = 'connecting'
  readonly #waiting = new Map<number, Waiting>()
  readonly #address: string
  readonly #credentials: Record<string, string>
  readonly #load = crypto.randomUUID()
  readonly #handlers: Handlers

  constructor(address: string, credentials: Record<string, string>, handlers: Handlers) {
    this.#address = address
    this.#credentials = credentials
    this.#handlers = handlers
  }

  open(): void {
    const socket = new WebSocket(this.#address)
    this.#socket = socket
    socket.onopen = () => void this.#authenticate()
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(String(data)) as Message)
    socket.onclose = ({ code }) => this.#closed(code)
  }

  /** Calls a method of the host. Rejects with a RemoteError when the host says no, or the connection is lost. */
  request<T>(method: string, params: Record<string, unknown>): Promise<T> {
    const id = this.#next++
    return new Promise<T>((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) {
        reject(new RemoteError('The host cannot be reached', 'wait until the connection is back'))
        return
      }
      const text = JSON.stringify({ jsonrpc: '2.0', id, method, params })
      this.#waiting.set(id, { text, resolve: resolve as (value: unknown) => void, reject })
      this.#socket.send(text)
    })
  }

  /** Sends an event of an element. Events made while the connection is lost are dropped: the page says that it is. */
  send(key: string, name: string, value: unknown): void {
    this.request('ui.event', { key, name, value, seq: this.#event++ }).catch(() => undefined)
  }

  async #authenticate(): Promise<void> {
    const before = [...this.#waiting.values()]
    this.#authenticating = this.#next
    let answer: { continued?: boolean }
    try {
      answer = await this.request('authenticate', { ...this.#credentials, load: this.#load })
    } catch {
      return // the socket was closed, and its code says why
    }
    if (answer.continued) for (const { text } of before) this.#socket?.send(text)
    else this.#giveUp(before)
    this.#pause = FIRST_PAUSE
    this.#set('open')
    this.#handlers.opened()
  }

  #receive(message: Message): void {
    if (message.method !== undefined) {
      this.#handlers.notify(message.method, message.params ?? {})
      return
    }
    const waiting = typeof message.id === 'number' ? this.#waiting.get(message.id) : undefined
    if (typeof message.id !== 'number' || !waiting) return
    this.#waiting.delete(message.id)
    if (message.error) {
      const data = message.error.data
      waiting.reject(new RemoteError(data?.message ?? message.error.message, data?.remedy))
    } else waiting.resolve(message.result)
  }

  #closed(code: number): void {
    const first = this.#waiting.get(this.#authenticating)
    if (first) this.#giveUp([first])
    if (this.#state === 'refused' || code === UNAUTHORISED) {
      this.#giveUp([...this.#waiting.values()])
      this.#set('refused')
      return
    }
    this.#set('lost')
    setTimeout(() => this.open(), this.#pause)
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE)
  }

  /** What nobody will answer: another host, or one that has forgotten this page. */
  #giveUp(lost: Waiting[]): void {
    for (const waiting of lost) waiting.reject(new RemoteError('The connection was lost'))
    for (const [id, waiting] of this.#waiting) if (lost.includes(waiting)) this.#waiting.delete(id)
  }

  #set(state: ConnectionState): void {
    this.#state = state
    this.#handlers.state(state)
  }
}
