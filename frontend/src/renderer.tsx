/** Turns nodes of the tree into components of the catalogue. */
import { memo, useCallback, type ComponentType } from 'react'
import type { ElementOf, Kind, TreeNode } from '@/element'
import { COMPONENTS } from '@/components/catalogue'
import { usePage } from '@/store/context'

/** A node keeps its identity until a patch touches it, so that all others are not drawn again. */
export const RenderNode = memo(function RenderNode({ node }: { node: TreeNode }) {
  const { connection } = usePage()
  const key = node.key ?? ''
  const send = useCallback(
    (event: string | number | symbol, value: unknown) => connection.send(key, String(event), value),
    [connection, key],
  )
  if (!(node.type in COMPONENTS)) return null
  const Component = COMPONENTS[node.type as Kind] as ComponentType<ElementOf<Kind>>
  return (
    <Component id={key} props={node.props} send={send}>
      {node.children.length === 0
        ? null
        : node.children.map((child, index) =>
            typeof child === 'string' ? child : <RenderNode key={child.key ?? `#${index}`} node={child} />,
          )}
    </Component>
  )
})
