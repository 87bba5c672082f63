import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Form, TextBox } from '@/components/fields'

beforeEach(() => sessionStorage.clear())
afterEach(() => {
  cleanup()
  vi.useRealTimers()
})

const props = { label: 'Name', value: 'old' }

describe('a text box', () => {
  it('keeps what is typed while the host draws the same value again', () => {
    const view = render(
      <TextBox id="a" props={props} send={vi.fn()}>
        {null}
      </TextBox>,
    )
    const box = screen.getByLabelText<HTMLInputElement>('Name')
    fireEvent.change(box, { target: { value: 'typed' } })
    view.rerender(
      <TextBox id="a" props={{ ...props, text: 'help' }} send={vi.fn()}>
        {null}
      </TextBox>,
    )
    expect(box.value).toBe('typed')
    view.rerender(
      <TextBox id="a" props={{ ...props, value: 'new' }} send={vi.fn()}>
        {null}
      </TextBox>,
    )
    expect(box.value).toBe('new')
  })

  it('gives way to the same value in a newer version', () => {
    const view = render(
      <TextBox id="a" props={{ ...props, version: 1 }} send={vi.fn()}>
        {null}
      </TextBox>,
    )
    const box = screen.getByLabelText<HTMLInputElement>('Name')
    fireEvent.change(box, { target: { value: 'typed' } })
    view.rerender(
      <TextBox id="a" props={{ ...props, version: 2 }} send={vi.fn()}>
        {null}
      </TextBox>,
    )
    expect(box.value).toBe('old')
  })

  it('sends when it is left, and only what changed', () => {
    const send = vi.fn()
    render(
      <TextBox id="a" props={props} send={send}>
        {null}
      </TextBox>,
    )
    const box = screen.getByLabelText('Name')
    fireEvent.blur(box)
    expect(send).not.toHaveBeenCalled()
    fireEvent.change(box, { target: { value: 'new' } })
    fireEvent.blur(box)
    fireEvent.blur(box)
    expect(send.mock.calls).toEqual([['change', 'new']])
  })

  it('sends a search after a pause', () => {
    vi.useFakeTimers()
    const send = vi.fn()
    render(
      <TextBox id="a" props={{ ...props, kind: 'search', live: true }} send={send}>
        {null}
      </TextBox>,
    )
    const box = screen.getByRole('searchbox')
    fireEvent.change(box, { target: { value: 'a' } })
    fireEvent.change(box, { target: { value: 'ab' } })
    vi.advanceTimersByTime(1000)
    expect(send.mock.calls).toEqual([['change', 'ab']])
  })

  it('keeps an unsent prompt over a reload', () => {
    const prompt = { label: 'Prompt', value: '', kind: 'prompt' as const, name: 'prompt' }
    const view = render(
      <TextBox id="p" props={prompt} send={vi.fn()}>
        {null}
      </TextBox>,
    )
    fireEvent.change(screen.getByLabelText('Prompt'), { target: { value: 'half a thought' } })
    view.unmount()
    render(
      <TextBox id="p" props={prompt} send={vi.fn()}>
        {null}
      </TextBox>,
    )
    expect(screen.getByLabelText<HTMLTextAreaElement>('Prompt').value).toBe('half a thought')
  })
})

describe('a form', () => {
  it('sends its fields together, and by Ctrl + Enter', () => {
    const send = vi.fn()
    render(
      <Form id="f" props={{ label: 'Form' }} send={send}>
        <TextBox
          id="p"
          props={{ label: 'Prompt', value: 'do', kind: 'prompt', name: 'prompt' }}
          send={vi.fn()}
        >
          {null}
        </TextBox>
      </Form>,
    )
    fireEvent.keyDown(screen.getByLabelText('Prompt'), { key: 'Enter', ctrlKey: true })
    expect(send.mock.calls).toEqual([['submit', { prompt: 'do' }]])
  })
})
