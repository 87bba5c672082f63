/** Code and plain text, read-only, in CodeMirror; the grammar is loaded when it is needed. */
import { useEffect, useRef } from 'react'
import {
  HighlightStyle,
  bracketMatching,
  foldGutter,
  syntaxHighlighting,
  type LanguageSupport,
} from '@codemirror/language'
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search'
import { EditorState, type Extension } from '@codemirror/state'
import { EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { ending } from './kind'

const STYLE = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: 'var(--accent)' },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: 'var(--warning)' },
  { tag: [tags.comment, tags.meta], color: 'var(--muted)', fontStyle: 'italic' },
  {
    tag: [tags.typeName, tags.className, tags.tagName, tags.propertyName, tags.attributeName],
    color: 'var(--info)',
  },
  { tag: [tags.function(tags.variableName), tags.definition(tags.variableName)], fontWeight: '600' },
  { tag: tags.heading, fontWeight: '700' },
  { tag: tags.inserted, color: 'var(--good)' },
  { tag: [tags.deleted, tags.invalid], color: 'var(--bad)' },
])

const THEME = EditorView.theme({
  '&': {
    backgroundColor: 'var(--surface)',
    color: 'var(--foreground)',
    fontSize: '0.8125rem',
    maxHeight: '70vh',
  },
  '.cm-scroller': { fontFamily: 'var(--font-mono)', lineHeight: '1.55' },
  '.cm-gutters': {
    backgroundColor: 'var(--sunken)',
    color: 'var(--muted)',
    borderRight: '1px solid var(--border)',
  },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--sunken)' },
  '.cm-selectionBackground, &.cm-focused .cm-selectionBackground': {
    backgroundColor: 'var(--accent-soft) !important',
  },
  '.cm-panels': { backgroundColor: 'var(--sunken)', color: 'var(--foreground)' },
})

const LANGUAGES: Record<string, () => Promise<LanguageSupport>> = {
  python: () => import('@codemirror/lang-python').then((m) => m.python()),
  javascript: () =>
    import('@codemirror/lang-javascript').then((m) => m.javascript({ jsx: true, typescript: true })),
  rust: () => import('@codemirror/lang-rust').then((m) => m.rust()),
  go: () => import('@codemirror/lang-go').then((m) => m.go()),
  cpp: () => import('@codemirror/lang-cpp').then((m) => m.cpp()),
  json: () => import('@codemirror/lang-json').then((m) => m.json()),
  yaml: () => import('@codemirror/lang-yaml').then((m) => m.yaml()),
  xml: () => import('@codemirror/lang-xml').then((m) => m.xml()),
  html: () => import('@codemirror/lang-html').then((m) => m.html()),
  css: () => import('@codemirror/lang-css').then((m) => m.css()),
  markdown: () => import('@codemirror/lang-markdown').then((m) => m.markdown()),
}

const ENDINGS: Record<string, string> = {
  py: 'python',
  pyi: 'python',
  js: 'javascript',
  jsx: 'javascript',
  ts: 'javascript',
  tsx: 'javascript',
  mjs: 'javascript',
  rs: 'rust',
  go: 'go',
  c: 'cpp',
  h: 'cpp',
  cc: 'cpp',
  cpp: 'cpp',
  hpp: 'cpp',
  json: 'json',
  yaml: 'yaml',
  yml: 'yaml',
  xml: 'xml',
  svg: 'xml',
  html: 'html',
  css: 'css',
  md: 'markdown',
}

export default function Code({ text, name, label }: { text: string; name: string; label: string }) {
  const place = useRef<HTMLDivElement>(null)
  useEffect(() => {
    let view: EditorView | undefined
    let gone = false
    const show = (language: Extension) => {
      if (gone || !place.current) return
      view = new EditorView({
        parent: place.current,
        state: EditorState.create({
          doc: text,
          extensions: [
            EditorState.readOnly.of(true),
            EditorView.contentAttributes.of({ 'aria-label': label, 'aria-readonly': 'true' }),
            lineNumbers(),
            foldGutter(),
            bracketMatching(),
            highlightActiveLine(),
            highlightSelectionMatches(),
            search(),
            keymap.of(searchKeymap),
            EditorView.lineWrapping,
            syntaxHighlighting(STYLE),
            THEME,
            language,
          ],
        }),
      })
    }
    const load = LANGUAGES[ENDINGS[ending(name)] ?? '']
    if (load) load().then(show, () => show([]))
    else show([])
    return () => {
      gone = true
      view?.destroy()
    }
  }, [text, name, label])
  return <div ref={place} className="overflow-hidden rounded-lg border bg-surface" />
}
