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
    return (
      <Notice
        icon={<Unplug className="size-6" />}
        title="This page is not signed in"
        text="Open the address that the host printed at its start, with the token in it."
      />
    )
  }
  if (!tree) {
    return (
      <Notice
        icon={<Loader2 className="size-6 animate-spin" />}
        title="Joining the host"
        text="This takes a moment."
      />
    )
  }
  return (
    <>
      {state === 'lost' && (
        <div
          role="alert"
          className="fixed inset-x-0 top-0 z-50 flex items-center justify-center gap-2 bg-warning-soft px-4 py-1.5 text-sm text-warning"
        >
          <PlugZap className="size-4" /> The connection to the host is lost. Trying again.
        </div>
      )}
      <RenderNode node={tree} />
    </>
  )
}

function Notice({ icon, title, text }: { icon: React.ReactNode; title: string; text: string }) {
  return (
    <main className="grid h-full animate-late place-items-center p-6 text-center">
      <div className="flex flex-col items-center gap-2">
        <span className="text-muted">{icon}</span>
        <h1 className="text-lg font-semibold">{title}</h1>
        <p className="max-w-sm text-muted">{text}</p>
      </div>
    </main>
  )
}
