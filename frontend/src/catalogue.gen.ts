// Made by `python -m symphony.ui.catalogue_types`; change symphony/ui/catalogue.py instead.
export type Tone = 'neutral' | 'info' | 'good' | 'warning' | 'bad' | 'accent'
export interface Option {
  value: string
  label: string
  hint?: string
}
export interface ViewLink {
  id: string
  title: string
  short: string
  badge: number
}
export interface ProjectInfo {
  name: string
  path: string
  git: boolean
}
export interface Port {
  name: string
  type: string
  optional?: boolean
}
export interface GraphNode {
  id: string
  title: string
  player: string
  kind: string
  text?: string
  note?: string
  problem?: string
  inputs: Port[]
  outputs: Port[]
}
export interface GraphEdge {
  id: string
  source: string
  sourcePort?: string
  target: string
  targetPort?: string
  kind: string
  label?: string
}
export interface Column {
  id: string
  label: string
  mono?: boolean
  end?: boolean
}
export interface Row {
  id: string
  cells: string[]
  tone?: Tone
}
export interface Connection {
  from: string
  to: string
}
export interface Command {
  id: string
  label: string
  group: string
  hint: string
}
export interface PickedFile {
  name: string
  content: string
}
export interface Colors {
  light?: Record<string, string>
  dark?: Record<string, string>
}
export interface Catalogue {
  /** The frame: navigation, project, theme, and the view that is open. */
  Shell: {
    props: {
      /** id of the open view */
      view: string
      /** the links of the navigation */
      views: ViewLink[]
      /** the open project, false when none is */
      project: ProjectInfo | false
      /** the theme that the user chose */
      theme: 'system' | 'light' | 'dark'
      /** what is being waited for, empty when nothing is */
      busy: string
      /** colours that a Motif brings, by their name in the style sheet */
      colors?: Colors
      /** whether things stand closer together */
      dense?: boolean
    }
    events: {
      navigate: string
      project: null
      theme: 'system' | 'light' | 'dark'
      commands: null
      keys: null
      undo: null
    }
  }
  /** The command palette: everything that can be done, found by a few letters. */
  Commands: {
    props: {
      /** the commands, those of the open view first */
      items: Command[]
      /** whether more of them are still being fetched */
      busy?: boolean
    }
    events: {
      run: string
      close: null
    }
  }
  /** Says a change of status to assistive tools, politely; to the eye as well where it is asked to. */
  LiveRegion: {
    props: {
      /** what to say */
      text: string
      /** grows with each message */
      count: number
      /** whether it is shown for a while */
      shown?: boolean
    }
    events: {
    }
  }
  /** One view: its heading, what it is for, and its actions at the head. */
  View: {
    props: {
      /** the heading */
      title: string
      /** what the view is for */
      text?: string
      /** whether the view fills the height and scrolls inside */
      fill?: boolean
    }
    events: {
    }
  }
  /** Children below each other. */
  Stack: {
    props: {
      /** the space between them */
      gap?: 'none' | 'small' | 'normal' | 'large'
      /** whether it scrolls by itself where there is no room for all */
      scroll?: boolean
    }
    events: {
    }
  }
  /** Children beside each other, wrapping. */
  Line: {
    props: {
      /** the space between them */
      gap?: 'none' | 'small' | 'normal' | 'large'
      /** whether the last child goes to the far end */
      spread?: boolean
    }
    events: {
    }
  }
  /** Children as tiles of equal width. */
  Grid: {
    props: {
      /** least width of a tile, rem */
      least?: number
      /** more space between them */
      roomy?: boolean
    }
    events: {
    }
  }
  /** A main part and a side part, below each other where it is narrow. */
  Split: {
    props: {
      /** where the side part stands, first or second child */
      side?: 'start' | 'end'
      /** full height */
      fill?: boolean
    }
    events: {
    }
  }
  /** A titled part of a view. */
  Section: {
    props: {
      /** the heading */
      title: string
      /** a sentence below it */
      text?: string
      /** whether it is drawn without a frame */
      quiet?: boolean
    }
    events: {
    }
  }
  /** A framed box. */
  Card: {
    props: {
      /** what the frame says */
      tone?: Tone
    }
    events: {
    }
  }
  /** An entry of a list that stands for itself. */
  Article: {
    props: {
      /** the accessible name */
      label: string
      /** whether it is switched off */
      muted?: boolean
    }
    events: {
    }
  }
  /** What an extension shows: framed, and headed by whom it is from, so that it is not taken for the host's. */
  Foreign: {
    props: {
      /** what it is */
      title: string
      /** the extension, publisher/name */
      source: string
      /** whether it can be closed */
      closable?: boolean
    }
    events: {
      close: null
    }
  }
  /** A heading inside a part. */
  Heading: {
    props: {
      /** its words */
      text: string
    }
    events: {
    }
  }
  /** Running text. */
  Text: {
    props: {
      /** its colour */
      tone?: Tone | 'muted'
      /** smaller letters */
      small?: boolean
      /** letters of equal width */
      mono?: boolean
      /** whether it is left out where it is narrow */
      wide?: boolean
    }
    events: {
    }
  }
  /** A line of a list: what it is, a few words beside it, and what can be done with it. */
  Entry: {
    props: {
      /** name of a symbol */
      icon: string
      /** what it is */
      text: string
      /** a few words below it, such as when */
      meta: string
      /** whether it holds no more */
      muted?: boolean
    }
    events: {
    }
  }
  /** Offers something beside the view for a while. */
  Toast: {
    props: {
      /** what it is about */
      text: string
      /** the accessible name */
      label: string
      /** which offer it is */
      count: number
    }
    events: {
      press: null
      close: number | null
    }
  }
  /** A short mark. */
  Badge: {
    props: {
      /** its words */
      text: string
      /** colour */
      tone?: Tone
    }
    events: {
    }
  }
  /** A list of sentences. */
  Bullets: {
    props: {
      /** the sentences */
      items: string[]
    }
    events: {
    }
  }
  /** A button. */
  Button: {
    props: {
      /** the accessible name */
      label: string
      /** how much it stands out */
      variant?: 'primary' | 'secondary' | 'ghost' | 'danger'
      /** name of a symbol before the label */
      icon?: string
      /** whether it cannot be used now */
      disabled?: boolean
      /** whether its action is under way */
      busy?: boolean
      /** a smaller button */
      small?: boolean
      /** whether it sends the enclosing form */
      submit?: boolean
      /** a sentence of help, shown beside or on hover */
      hint?: string
    }
    events: {
      press: null
    }
  }
  /** Goes to a thing of the host, such as an artifact. */
  Link: {
    props: {
      /** the accessible name */
      label: string
      /** the address of the thing within the page */
      href: string
      /** whether it is the one that is shown */
      current?: boolean
      /** a few words beside it */
      meta?: string
      /** a line below it */
      text?: string
      /** name of a symbol */
      icon?: string
      /** colour of the symbol */
      tone?: Tone
    }
    events: {
      press: null
    }
  }
  /** Fields that are sent together. */
  Form: {
    props: {
      /** the accessible name */
      label: string
    }
    events: {
      submit: Record<string, unknown>
    }
  }
  /** A field for text. What is being typed belongs to the page until it is sent. */
  TextBox: {
    props: {
      /** the accessible name */
      label: string
      /** the text that the host knows */
      value: string
      /** grows when the host's text takes the place of what was typed */
      version?: number
      /** under which the enclosing form sends the value */
      name?: string
      /** what is typed into it */
      kind?: 'text' | 'number' | 'search' | 'multiline' | 'prompt'
      /** what stands there when it is empty */
      placeholder?: string
      /** a sentence of help below it */
      text?: string
      /** what is wrong with the value */
      problem?: string
      /** whether the label is for assistive tools only */
      quiet?: boolean
      /** whether changes are sent while typing, after a pause */
      live?: boolean
      /** of a prompt: what was written before, the newest first */
      earlier?: string[]
      /** of a prompt: what it may be completed to, the likeliest first */
      completions?: string[]
      /** a few words after the label */
      mark?: string
      /** whether it cannot be used now */
      disabled?: boolean
    }
    events: {
      change: string
    }
  }
  /** One of several. */
  Select: {
    props: {
      /** the accessible name */
      label: string
      /** the one that is chosen */
      value: string
      /** what can be chosen */
      options: Option[]
      /** under which the enclosing form sends the value */
      name?: string
      /** a sentence of help below it */
      text?: string
      /** whether the label is for assistive tools only */
      quiet?: boolean
      /** a few words after the label */
      mark?: string
      /** whether it cannot be used now */
      disabled?: boolean
    }
    events: {
      change: string
    }
  }
  /** On or off. */
  Switch: {
    props: {
      /** the accessible name */
      label: string
      /** whether it is on */
      value: boolean
      /** under which the enclosing form sends the value */
      name?: string
      /** a sentence of help */
      text?: string
      /** whether the label is for assistive tools only */
      quiet?: boolean
      /** a few words after the label */
      mark?: string
      /** whether it cannot be used now */
      disabled?: boolean
    }
    events: {
      change: boolean
    }
  }
  /** One of few, all in sight. */
  Segments: {
    props: {
      /** the accessible name */
      label: string
      /** the chosen one */
      value: string
      /** all of them */
      options: Option[]
    }
    events: {
      change: string
    }
  }
  /** Takes a file of the user. */
  FilePicker: {
    props: {
      /** the accessible name */
      label: string
      /** endings of the files */
      accept: string
      /** symbol */
      icon?: string
    }
    events: {
      pick: PickedFile
    }
  }
  /** Fetches a file from the host and saves it. */
  Download: {
    props: {
      /** the accessible name */
      label: string
      /** the method that answers with it */
      method: 'exportMelody' | 'exportLearning' | 'getArtifactContent'
      /** that method's parameters */
      params: Record<string, unknown>
      /** the name that is proposed */
      filename: string
    }
    events: {
    }
  }
  /** A question before all else. */
  Dialog: {
    props: {
      /** its name */
      title: string
      /** what it is about */
      text?: string
    }
    events: {
      close: null
    }
  }
  /** Something went wrong, or should be known. */
  Alert: {
    props: {
      /** how bad it is */
      tone: Tone
      /** what happened */
      title: string
      /** what to do */
      text?: string
      /** the details */
      items?: string[]
      /** whether it can be put away */
      closable?: boolean
    }
    events: {
      close: null
    }
  }
  /** Says what to do where there is nothing yet. */
  EmptyState: {
    props: {
      /** name of a symbol */
      icon: string
      /** what is missing */
      title: string
      /** what to do */
      text: string
      /** whether it is left out where it is narrow */
      wide?: boolean
    }
    events: {
    }
  }
  /** Work that takes a while. */
  Progress: {
    props: {
      /** the accessible name */
      label: string
      /** the part that is done, 0 to 1; unknown when left out */
      value?: number
    }
    events: {
    }
  }
  /** Details that open on demand. */
  Disclosure: {
    props: {
      /** the accessible name */
      label: string
      /** open at first */
      open?: boolean
    }
    events: {
    }
  }
  /** Rows of short texts. */
  Table: {
    props: {
      /** the accessible name */
      label: string
      /** the columns */
      columns: Column[]
      /** the rows */
      rows: Row[]
      /** id of the row that is shown elsewhere */
      current?: string
      /** whether no row can be chosen */
      still?: boolean
    }
    events: {
      select: string
    }
  }
  /** A small curve of numbers over steps. */
  Curve: {
    props: {
      /** the accessible name */
      label: string
      /** the numbers, the first step first */
      values: number[]
    }
    events: {
    }
  }
  /** What changes in text files, line by line. */
  Difference: {
    props: {
      /** the accessible name */
      label: string
      /** a unified diff; lines of removal and addition are coloured */
      text: string
    }
    events: {
    }
  }
  /** A Melody as a graph, with the live states of a run, or to be changed. */
  Graph: {
    props: {
      /** the accessible name */
      label: string
      /** the nodes */
      nodes: GraphNode[]
      /** the edges */
      edges: GraphEdge[]
      /** id of the node whose details are shown */
      selected?: string
      /** the run whose states it shows */
      run?: string
      /** whether nodes and edges can be changed */
      editable?: boolean
      /** how tall it is */
      height?: 'normal' | 'fill'
    }
    events: {
      select: string
      add: string
      connect: Connection
      disconnect: string
      remove: string
    }
  }
  /** The Players that can be added to a graph, by drag or by key. */
  Palette: {
    props: {
      /** the Players */
      options: Option[]
    }
    events: {
      add: string
    }
  }
  /** State, counts and elapsed time of a run, live. */
  RunSummary: {
    props: {
      /** the run's id */
      run: string
    }
    events: {
    }
  }
  /** The nodes of a run over time. */
  Timeline: {
    props: {
      /** the run's id */
      run: string
      /** the chosen node */
      selected?: string
    }
    events: {
      select: string
    }
  }
  /** State, times and error of a node of a run, live. */
  NodeDetails: {
    props: {
      /** the run's id */
      run: string
      /** the node's id */
      node: string
    }
    events: {
    }
  }
  /** Log records of a run or of one of its nodes. */
  Logs: {
    props: {
      /** the run's id */
      run: string
      /** the node's id */
      node?: string
    }
    events: {
    }
  }
  /** Average, median and 99th percentile of a run, live. */
  Metrics: {
    props: {
      /** the run's id */
      run: string
    }
    events: {
    }
  }
  /** The content of an artifact in the viewer for its type. */
  ArtifactView: {
    props: {
      /** the artifact's id */
      id: string
      /** its name */
      name: string
      /** its type */
      mime: string
      /** its size */
      bytes: number
      /** whether it is no higher than a part of the page, and scrolls */
      short?: boolean
    }
    events: {
    }
  }
}
