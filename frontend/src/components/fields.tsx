/** Fields: what is being typed belongs to the page until it is sent. */
import { useEffect, useId, useRef, useState, type KeyboardEvent, type SubmitEvent } from 'react'
import { Search, Upload } from 'lucide-react'
import type { ElementOf } from '@/element'
import { buttonVariants } from '@/components/ui/button'
import { Field, Mark, controlClass } from '@/components/ui/field'
import { Switch as UiSwitch } from '@/components/ui/switch'
import { encodeBase64 } from '@/lib/base64'
import { usePromptKeys } from '@/components/prompt-keys'
import { cn } from '@/lib/cn'

const TYPING_PAUSE = 200

export function Form({ props, send, children }: ElementOf<'Form'>) {
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault()
    send('submit', Object.fromEntries(new FormData(event.currentTarget)))
  }
  return (
    <form aria-label={props.label} onSubmit={submit} className="flex min-w-0 flex-col gap-3">
      {children}
    </form>
  )
}

/** The text in a field: the host's until the user types, then the page's until the host has a newer one. */
function useTyped(id: string, value: string, version: number, kept: boolean) {
  const place = `typed ${id}`
  const [text, setText] = useState(() => (kept ? sessionStorage.getItem(place) : null) ?? value)
  const [known, setKnown] = useState({ value, version })
  if (known.value !== value || known.version !== version) {
    setKnown({ value, version })
    setText(value)
  }
  useEffect(() => {
    if (kept) sessionStorage.setItem(place, text)
  }, [kept, place, text])
  return [text, setText] as const
}

export function TextBox({ id, props, send }: ElementOf<'TextBox'>) {
  const control = useId()
  const { label, name, kind = 'text', problem, live } = props
  const [text, setText] = useTyped(id, props.value, props.version ?? 0, kind === 'prompt')
  const sent = useRef(props.value)
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined)
  const keys = usePromptKeys(text, setText, props.earlier ?? [], props.completions ?? [])
  useEffect(() => () => clearTimeout(timer.current), [])

  const commit = (value: string) => {
    clearTimeout(timer.current)
    if (name !== undefined || value === sent.current) return
    sent.current = value
    send('change', value)
  }
  const type = (value: string) => {
    setText(value)
    keys.typed()
    if (!live) return
    clearTimeout(timer.current)
    timer.current = setTimeout(() => commit(value), TYPING_PAUSE)
  }
  const press = (event: KeyboardEvent<HTMLInputElement | HTMLTextAreaElement>) => {
    if (kind === 'prompt') keys.press(event)
    if (event.key !== 'Enter') return
    const long = event.currentTarget instanceof HTMLTextAreaElement
    if (long && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit()
    if (!long) commit(text)
  }
  const shared = {
    id: control,
    name,
    value: text,
    placeholder: props.placeholder,
    disabled: props.disabled,
    'aria-invalid': problem !== undefined || undefined,
    'aria-describedby':
      [(props.text ?? problem) && `${control}-text`, keys.rest && `${control}-rest`]
        .filter(Boolean)
        .join(' ') || undefined,
    onBlur: () => commit(text),
    onKeyDown: press,
  }
  const long = kind === 'multiline' || kind === 'prompt'
  return (
    <Field
      control={control}
      label={label}
      text={props.text}
      problem={problem}
      quiet={props.quiet}
      mark={props.mark}
      className={cn('w-full', (kind === 'search' || (props.quiet && !long)) && 'sm:min-w-64 sm:flex-1')}
    >
      {long ? (
        <div className="relative flex flex-col">
          <textarea
            {...shared}
            rows={kind === 'prompt' ? 3 : 2}
            spellCheck={kind !== 'prompt'}
            onChange={(event) => type(event.target.value)}
            className={cn(
              controlClass,
              'field-sizing-content max-h-72 resize-none py-2',
              kind === 'prompt' && 'min-h-22 rounded-lg px-3.5 py-3 text-lg leading-snug shadow-soft',
            )}
          />
          {keys.rest && (
            <>
              <div
                aria-hidden
                data-rest
                className="pointer-events-none absolute inset-0 overflow-hidden border border-transparent px-3.5 py-3 text-lg leading-snug wrap-break-word whitespace-pre-wrap text-muted"
              >
                <span className="invisible">{text}</span>
                {keys.rest}
              </div>
              <span id={`${control}-rest`} className="sr-only">
                {`Right arrow completes to: ${text}${keys.rest}`}
              </span>
            </>
          )}
        </div>
      ) : (
        <div className="relative">
          {kind === 'search' && <Search aria-hidden className="absolute top-2 left-2.5 size-4 text-muted" />}
          <input
            {...shared}
            type={kind === 'search' ? 'search' : 'text'}
            inputMode={kind === 'number' ? 'decimal' : undefined}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => type(event.target.value)}
            className={cn(controlClass, 'h-8', kind === 'search' && 'pl-8')}
          />
        </div>
      )}
    </Field>
  )
}

export function Select({ props, send }: ElementOf<'Select'>) {
  const control = useId()
  return (
    <Field control={control} label={props.label} text={props.text} quiet={props.quiet} mark={props.mark}>
      <select
        id={control}
        name={props.name}
        value={props.value}
        disabled={props.disabled}
        aria-describedby={props.text ? `${control}-text` : undefined}
        onChange={(event) => send('change', event.target.value)}
        className={cn(controlClass, 'h-8')}
      >
        {props.options.map(({ value, label, hint }) => (
          <option key={value} value={value}>
            {hint ? `${label} (${hint})` : label}
          </option>
        ))}
      </select>
    </Field>
  )
}

export function Switch({ props, send }: ElementOf<'Switch'>) {
  const control = useId()
  return (
    <div className="flex min-w-0 items-center gap-2.5">
      <UiSwitch
        id={control}
        checked={props.value}
        disabled={props.disabled}
        onCheckedChange={(value) => send('change', value)}
        {...(props.quiet ? { 'aria-label': props.label } : {})}
      />
      {!props.quiet && (
        <label htmlFor={control} className="min-w-0 text-sm font-medium">
          {props.label}
          {props.mark && <Mark text={props.mark} />}
          {props.text && (
            <span className="block text-xs font-normal text-muted first-letter:uppercase">{props.text}</span>
          )}
        </label>
      )}
    </div>
  )
}

export function FilePicker({ props, send }: ElementOf<'FilePicker'>) {
  const pick = async (file: File | undefined) => {
    if (file)
      send('pick', { name: file.name, content: encodeBase64(new Uint8Array(await file.arrayBuffer())) })
  }
  return (
    <label
      className={cn(
        buttonVariants({ variant: 'secondary' }),
        'w-fit focus-within:outline-2 focus-within:outline-ring',
      )}
    >
      <Upload aria-hidden />
      {props.label}
      <input
        type="file"
        accept={props.accept}
        className="sr-only"
        onChange={(event) => {
          void pick(event.target.files?.[0])
          event.target.value = ''
        }}
      />
    </label>
  )
}
