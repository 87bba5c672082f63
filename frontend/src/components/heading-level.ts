/** Which level a heading has: the view has the first, what stands in a titled part is one below its title. */
import { createContext } from 'react'

export const HeadingLevel = createContext<2 | 3>(2)
