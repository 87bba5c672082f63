/** Starts the page: takes the token from the address, joins the host, draws the tree. */
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from '@/app'
import { PageContext } from '@/store/context'
import { PageStore } from '@/store/page'
import { knownColors, knownTheme, showColors, showTheme } from '@/theme'
import './index.css'

/** The token leaves the address bar but outlives a reload of this tab. */
function takeToken(): string {
  const token = new URLSearchParams(location.hash.slice(1)).get('token')
  if (token !== null) {
    sessionStorage.setItem('token', token)
    history.replaceState(null, '', location.pathname)
  }
  return sessionStorage.getItem('token') ?? ''
}

/** The name under which the host keeps what this tab shows. */
function pageName(): string {
  const name = sessionStorage.getItem('page') ?? crypto.randomUUID()
  sessionStorage.setItem('page', name)
  return name
}

showTheme(knownTheme())
showColors(knownColors())
const address = new URL('ws', location.href.replace(/^http/, 'ws'))
const store = new PageStore(address.href, { token: takeToken(), page: pageName() })
store.connection.open()

const root = document.getElementById('root')
if (!root) throw new Error('the page has no root')
createRoot(root).render(
  <StrictMode>
    <PageContext value={store}>
      <App />
    </PageContext>
  </StrictMode>,
)
