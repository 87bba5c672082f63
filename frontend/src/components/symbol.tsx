/** Symbols by the names that the tree uses. */
import {
  Activity,
  ArrowUpRight,
  Check,
  Circle,
  File,
  FolderOpen,
  Image,
  Library,
  Package,
  Pencil,
  Play,
  Redo2,
  Save,
  Settings,
  Shield,
  Sparkles,
  Square,
  Table2,
  Trash2,
  Undo2,
  Upload,
  Workflow,
  type LucideIcon,
} from 'lucide-react'
import { cn } from '@/lib/cn'

const SYMBOLS: Record<string, LucideIcon> = {
  activity: Activity,
  arrow: ArrowUpRight,
  check: Check,
  dot: Circle,
  file: File,
  folder: FolderOpen,
  image: Image,
  library: Library,
  package: Package,
  pencil: Pencil,
  play: Play,
  redo: Redo2,
  save: Save,
  settings: Settings,
  shield: Shield,
  sparkles: Sparkles,
  stop: Square,
  table: Table2,
  trash: Trash2,
  undo: Undo2,
  upload: Upload,
  workflow: Workflow,
}

export function Symbol({ name, className }: { name: string | undefined; className?: string }) {
  const Icon = name === undefined ? undefined : SYMBOLS[name]
  return Icon ? (
    <Icon aria-hidden className={cn('size-4 shrink-0', name === 'dot' && 'size-2 fill-current', className)} />
  ) : null
}
