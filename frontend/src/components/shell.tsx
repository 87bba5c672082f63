/** The frame: navigation at the side, below on a phone; the project; the theme; the view. */
import { useEffect } from 'react'
import {
  Activity,
  Command,
  FolderGit2,
  FolderOpen,
  Files,
  Library,
  Monitor,
  Moon,
  Package,
  PanelsTopLeft,
  Settings,
  Sparkles,
  Sun,
  Undo2,
} from 'lucide-react'
import type { ElementOf } from '@/element'
import { Tooltip } from '@/components/ui/tooltip'
import { cn } from '@/lib/cn'
import { useTheme } from '@/theme'

const ICONS = {
  compose: Sparkles,
  board: Activity,
  artifacts: Files,
  store: Library,
  market: Package,
  panels: PanelsTopLeft,
  settings: Settings,
} as Record<string, typeof Sparkles>

/** The keys that open the palette, as this system writes them. */
const KEYS = /mac/i.test(navigator.platform) ? '⌘K' : 'Ctrl K'

const TYPED_INTO = 'input, textarea, select, [contenteditable]'

const NEXT_THEME = { system: 'light', light: 'dark', dark: 'system' } as const
const THEME_ICONS = { system: Monitor, light: Sun, dark: Moon }
const THEME_WORDS = { system: 'system', light: 'light', dark: 'dark' }

export function Shell({ props, send, children }: ElementOf<'Shell'>) {
  const { view, views, project, theme, busy, colors, dense } = props
  useTheme(theme, colors, dense === true)
  useEffect(() => {
    const title = views.find((link) => link.id === view)?.title
    document.title = title ? `${title} · Symphony` : 'Symphony'
    document.getElementById('view')?.scrollTo(0, 0)
  }, [view, views])
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const isInText = event.target instanceof Element && event.target.closest(TYPED_INTO) !== null
      if ((event.key === '?' && !isInText) || (event.key === '/' && (event.ctrlKey || event.metaKey))) {
        event.preventDefault()
        send('keys', null)
        return
      }
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return
      const key = event.key.toLowerCase()
      // In a text field it takes back what was typed, as everywhere.
      if (key !== 'k' && (key !== 'z' || isInText)) return
      event.preventDefault()
      send(key === 'k' ? 'commands' : 'undo', null)
    }
    window.addEventListener('keydown', press)
    return () => window.removeEventListener('keydown', press)
  }, [send])
  const ThemeIcon = THEME_ICONS[theme]
  const ProjectIcon = project && project.git ? FolderGit2 : FolderOpen
  return (
    <div className="flex h-full flex-col-reverse md:flex-row">
      <aside className="flex shrink-0 border-t bg-sunken md:w-14 md:flex-col md:gap-3 md:border-t-0 md:border-r md:p-2 lg:w-56 lg:p-3">
        <div className="hidden items-center gap-2 px-1 pt-1 md:flex">
          <img src="./symphony.svg" alt="" className="size-7 shrink-0" />
          <span className="hidden text-lg font-semibold tracking-tight lg:inline">Symphony</span>
        </div>
        <ProjectButton
          className="hidden md:flex"
          icon={ProjectIcon}
          project={project}
          onPress={() => send('project', null)}
        />
        <nav aria-label="Views" className="flex flex-1 justify-around md:flex-none md:flex-col md:gap-0.5">
          {views.map(({ id, title, short, badge }) => {
            const Icon = ICONS[id] ?? Sparkles
            return (
              <a
                key={id}
                href={`#/${id}`}
                aria-label={title}
                title={title}
                aria-current={id === view ? 'page' : undefined}
                onClick={(event) => {
                  event.preventDefault()
                  send('navigate', id)
                }}
                className={cn(
                  'relative flex min-h-13 flex-1 flex-col items-center justify-center gap-0.5 px-0.5 font-medium text-muted transition-colors hover:text-foreground md:min-h-8 md:flex-none md:flex-row md:gap-2.5 md:rounded-md md:px-2 lg:justify-start',
                  id === view
                    ? 'text-accent md:bg-surface md:text-foreground md:shadow-xs md:ring-1 md:ring-border'
                    : 'md:hover:bg-background',
                )}
              >
                <Icon
                  aria-hidden
                  className={cn('size-4.5 shrink-0 md:size-4', id === view && 'text-accent')}
                />
                <span aria-hidden className="max-w-full truncate text-[0.625rem] tracking-tight md:hidden">
                  {short}
                </span>
                <span aria-hidden className="hidden truncate text-sm lg:inline">
                  {title}
                </span>
                {badge > 0 && (
                  <span
                    aria-hidden
                    data-bar
                    className="absolute top-1.5 right-1/2 ml-auto size-2 translate-x-4 rounded-full bg-info lg:static lg:translate-x-0"
                  />
                )}
              </a>
            )
          })}
        </nav>
        <div className="mt-auto hidden md:block">
          <Tooltip text="History" side="right">
            <a
              href="#/history"
              aria-label="History"
              aria-current={view === 'history' ? 'page' : undefined}
              onClick={(event) => {
                event.preventDefault()
                send('navigate', 'history')
              }}
              className={cn(
                'flex h-8 w-full items-center justify-center gap-2.5 rounded-md px-2 text-sm text-muted hover:bg-background hover:text-foreground lg:justify-start',
                view === 'history' && 'bg-surface text-foreground shadow-xs ring-1 ring-border',
              )}
            >
              <Undo2 aria-hidden className={cn('size-4', view === 'history' && 'text-accent')} />
              <span aria-hidden className="hidden lg:inline">
                History
              </span>
            </a>
          </Tooltip>
          <Tooltip text={`Commands: ${KEYS}`} side="right">
            <button
              type="button"
              aria-label="Commands"
              aria-keyshortcuts="Control+K Meta+K"
              onClick={() => send('commands', null)}
              className="flex h-8 w-full items-center justify-center gap-2.5 rounded-md px-2 text-sm text-muted hover:bg-background hover:text-foreground lg:justify-start"
            >
              <Command aria-hidden className="size-4" />
              <span className="hidden lg:inline">Commands</span>
              <span
                aria-hidden
                data-keys={KEYS}
                className="ml-auto hidden text-xs before:content-[attr(data-keys)] lg:inline"
              />
            </button>
          </Tooltip>
          <Tooltip text={`Theme: ${THEME_WORDS[theme]}`} side="right">
            <button
              type="button"
              aria-label={`Theme: ${THEME_WORDS[theme]}`}
              onClick={() => send('theme', NEXT_THEME[theme])}
              className="flex h-8 w-full items-center justify-center gap-2.5 rounded-md px-2 text-sm text-muted hover:bg-background hover:text-foreground lg:justify-start"
            >
              <ThemeIcon aria-hidden className="size-4" />
              <span className="hidden lg:inline">Theme: {THEME_WORDS[theme]}</span>
            </button>
          </Tooltip>
        </div>
      </aside>
      <div className="relative flex min-h-0 min-w-0 flex-1 flex-col">
        <div className="flex items-center gap-2 border-b bg-sunken px-3 py-2 md:hidden">
          <img src="./symphony.svg" alt="" className="size-6" />
          <ProjectButton
            className="flex min-w-0 flex-1"
            icon={ProjectIcon}
            project={project}
            onPress={() => send('project', null)}
          />
          <button
            type="button"
            aria-label="Commands"
            onClick={() => send('commands', null)}
            className="grid size-9 shrink-0 place-items-center rounded-md text-muted hover:bg-background hover:text-foreground"
          >
            <Command aria-hidden className="size-4.5" />
          </button>
        </div>
        {busy && <Waiting label={busy} />}
        <main
          id="view"
          tabIndex={-1}
          className="min-h-0 flex-1 overflow-auto outline-none [&>[role=alert]]:mx-4 [&>[role=alert]]:mt-4 md:[&>[role=alert]]:mx-6"
        >
          {children}
        </main>
      </div>
    </div>
  )
}

function ProjectButton({
  icon: Icon,
  project,
  className,
  onPress,
}: {
  icon: typeof FolderOpen
  project: ElementOf<'Shell'>['props']['project']
  className: string
  onPress: () => void
}) {
  return (
    <button
      type="button"
      title={project ? project.path : 'Open a project'}
      onClick={onPress}
      className={cn(
        'items-center justify-center gap-2 rounded-md border bg-surface px-2 py-1.5 text-left text-sm shadow-xs hover:border-border-strong lg:justify-start',
        className,
      )}
    >
      <Icon aria-hidden className="size-4 shrink-0 text-muted" />
      <span className="min-w-0 flex-1 md:sr-only lg:not-sr-only lg:min-w-0 lg:flex-1">
        <span className="block truncate font-medium">
          {project && <span className="sr-only">Project: </span>}
          {project ? project.name : 'Open a project'}
        </span>
        {project && <span className="hidden truncate text-xs text-muted lg:block">{project.path}</span>}
      </span>
    </button>
  )
}

function Waiting({ label }: { label: string }) {
  return (
    <div
      role="progressbar"
      aria-label={label}
      className="absolute inset-x-0 top-0 z-20 h-0.5 animate-late overflow-hidden bg-accent-soft"
    >
      <div data-bar className="h-full w-1/3 animate-sweep bg-primary" />
    </div>
  )
}
