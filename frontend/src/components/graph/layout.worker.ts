/** Lays large graphs out beside the page, so that it does not stand still. */
import { layout, type Box, type Link } from './layout'

self.onmessage = ({ data }: MessageEvent<{ boxes: Box[]; links: Link[] }>) => {
  self.postMessage(layout(data.boxes, data.links, 'LR'))
}
