/** The type under which a Player is dragged from the palette to the graph. */
export const PLAYER_DRAG = 'application/x-symphony-player'
