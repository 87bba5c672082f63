/** What the keys of the prompt box do beside typing: earlier prompts, and the rest of one that is known. */
import { useRef, useState, type KeyboardEvent } from 'react'

/** The fewest characters from which a prompt is completed: before that, anything would fit. */
const FEWEST = 3

/** What would complete the text: the rest of the first known prompt that begins with it. */
export function restOf(text: string, known: readonly string[]): string {
  const begun = text.toLowerCase()
  if (begun.trim().length < FEWEST || begun.includes('\n')) return ''
  const found = known.find((one) => one.length > text.length && one.toLowerCase().startsWith(begun))
  return found?.slice(text.length) ?? ''
}

/** Earlier prompts with the arrow up, as in a terminal; the one that is being written comes back with the arrow down. */
export function usePromptKeys(
  text: string,
  setText: (text: string) => void,
  earlier: readonly string[],
  known: readonly string[],
) {
  const [place, setPlace] = useState(-1)
  const draft = useRef('')
  const [isPutAway, setPutAway] = useState(false)
  const rest = isPutAway || place >= 0 ? '' : restOf(text, known)

  const show = (next: number) => {
    if (place < 0) draft.current = text
    setPlace(next)
    setText(next < 0 ? draft.current : (earlier[next] ?? ''))
  }
  const press = (event: KeyboardEvent<HTMLInputElement | HTMLTextAreaElement>) => {
    const { key, currentTarget: box } = event
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return
    const isAtStart = box.selectionStart === 0 && box.selectionEnd === 0
    const isAtEnd = box.selectionStart === text.length
    if (key === 'ArrowUp' && (isAtStart || place >= 0) && place + 1 < earlier.length) show(place + 1)
    else if (key === 'ArrowDown' && place >= 0) show(place - 1)
    else if (key === 'ArrowRight' && isAtEnd && rest) setText(text + rest)
    else if (key === 'Escape' && rest) setPutAway(true)
    else return
    event.preventDefault()
  }
  const typed = () => {
    setPlace(-1)
    setPutAway(false)
  }
  return { press, typed, rest }
}
