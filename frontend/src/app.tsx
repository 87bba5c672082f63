/** The tree, or what to say while there is none. */
import { useSyncExternalStore } from 'react'
import { Loader2, PlugZap, Unplug } from 'lucide-react'
import { RenderNode } from '@/renderer'
import { usePage } from '@/store/context'

export function App() {
  const page = usePage()
  const tree = useSyncExternalStore(page.tree.subscribe, page.tree.tree)
  const state = useSyncExternalStore(page.onState, page.state)
  if (state === 'refused') {
    return tree ? (
      <Notice
        icon={<Unplug aria-hidden className="size-6" />}
        title="Symphony was started again"
        text="It has a new address now. Start Symphony once more to have its page opened, or open the address that “symphony serve” printed. What you typed and what was played is kept."
      />
    ) : (
      <Notice
        icon={<Unplug aria-hidden className="size-6" />}
        title="This page is not signed in"
        text="Start Symphony to have its page opened, or open the whole address that “symphony serve” printed."
      />
    )
  }
  if (!tree) {
    return (
      <Notice
        icon={<Loader2 aria-hidden className="size-6 animate-spin" />}
        title={state === 'lost' ? 'Symphony does not answer' : 'Joining the host'}
        text={state === 'lost' ? 'Trying again. Is it still running?' : 'This takes a moment.'}
      />
    )
  }
  return (
    <div className="flex h-full flex-col">
      {state === 'lost' && (
        <div
          role="alert"
          className="flex shrink-0 items-center justify-center gap-2 border-b border-warning/35 bg-warning-soft px-4 py-1.5 text-sm text-warning"
        >
          <PlugZap aria-hidden className="size-4 shrink-0" /> The connection to the host is lost. Trying
          again; until then nothing here has an effect. If Symphony was closed, start it again.
        </div>
      )}
      <div className="min-h-0 flex-1">
        <RenderNode node={tree} />
      </div>
    </div>
  )
}

function Notice({ icon, title, text }: { icon: React.ReactNode; title: string; text: string }) {
  return (
    <main className="grid h-full animate-late place-items-center p-6 text-center">
      <div role="status" className="flex flex-col items-center gap-2">
        <span className="text-muted">{icon}</span>
        <h1 className="text-lg font-semibold">{title}</h1>
        <p className="max-w-sm text-muted">{text}</p>
      </div>
    </main>
  )
}
