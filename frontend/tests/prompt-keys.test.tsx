import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, describe, expect, it } from 'vitest'
import { TextBox } from '@/components/fields'
import { restOf } from '@/components/prompt-keys'

const KNOWN = ['List all TODOs in src/', 'List the largest files']

function show() {
  sessionStorage.clear()
  render(
    <TextBox
      id="p"
      props={{
        label: 'Prompt',
        value: '',
        name: 'prompt',
        kind: 'prompt',
        earlier: ['newest', 'oldest'],
        completions: KNOWN,
      }}
      send={() => undefined}
    >
      {null}
    </TextBox>,
  )
  return screen.getByRole<HTMLTextAreaElement>('textbox', { name: 'Prompt' })
}

const type = (box: HTMLTextAreaElement, value: string) => {
  fireEvent.change(box, { target: { value } })
  box.setSelectionRange(value.length, value.length)
}

describe('the prompt box', () => {
  afterEach(cleanup)

  it('completes what is known, from its third letter on, in one line', () => {
    expect(restOf('list th', KNOWN)).toBe('e largest files')
    expect(restOf('li', KNOWN)).toBe('')
    expect(restOf('   ', KNOWN)).toBe('')
    expect(restOf('List the largest files', KNOWN)).toBe('')
    expect(restOf('list\n', KNOWN)).toBe('')
  })

  it('takes the completion with the arrow right, at the end alone', () => {
    const box = show()
    type(box, 'list the')
    expect(box.getAttribute('aria-describedby')).not.toBeNull()
    box.setSelectionRange(2, 2)
    fireEvent.keyDown(box, { key: 'ArrowRight' })
    expect(box.value).toBe('list the')
    box.setSelectionRange(8, 8)
    fireEvent.keyDown(box, { key: 'ArrowRight' })
    expect(box.value).toBe('list the largest files')
  })

  it('puts the completion away with Escape until more is typed', () => {
    const box = show()
    type(box, 'list the')
    fireEvent.keyDown(box, { key: 'Escape' })
    fireEvent.keyDown(box, { key: 'ArrowRight' })
    expect(box.value).toBe('list the')
    type(box, 'list the l')
    expect(document.querySelector('[data-rest]')).not.toBeNull()
  })

  it('brings back earlier prompts with the arrow up, and what was being written with the arrow down', () => {
    const box = show()
    type(box, 'half')
    fireEvent.keyDown(box, { key: 'ArrowUp' })
    expect(box.value).toBe('half')
    box.setSelectionRange(0, 0)
    for (const value of ['newest', 'oldest', 'oldest']) {
      fireEvent.keyDown(box, { key: 'ArrowUp' })
      expect(box.value).toBe(value)
    }
    for (const value of ['newest', 'half', 'half']) {
      fireEvent.keyDown(box, { key: 'ArrowDown' })
      expect(box.value).toBe(value)
    }
  })
})
