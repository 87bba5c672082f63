/** The catalogue: which component draws which kind of node. The type demands one for each. */
import { lazy, createElement, Suspense, type ComponentType } from 'react'
import type { ElementOf, Kind } from '@/element'
import { ArtifactView } from '@/components/artifact-view'
import { Commands } from '@/components/commands'
import { Button, Dialog, Disclosure, Link, Segments } from '@/components/controls'
import { Curve } from '@/components/curve'
import { Difference } from '@/components/difference'
import { Download } from '@/components/download'
import { FilePicker, Form, Select, Switch, TextBox } from '@/components/fields'
import { Article, Card, Foreign, Grid, Line, Section, Split, Stack, View } from '@/components/layout'
import { Logs } from '@/components/logs'
import { Metrics } from '@/components/metrics'
import { Palette } from '@/components/palette'
import { NodeDetails, RunSummary } from '@/components/run'
import { Shell } from '@/components/shell'
import { Table } from '@/components/table'
import { Timeline } from '@/components/timeline'
import { Toast } from '@/components/toast'
import {
  Alert,
  Badge,
  Bullets,
  EmptyState,
  Entry,
  Heading,
  LiveRegion,
  Progress,
  Text,
} from '@/components/words'

const LazyGraph = lazy(() => import('@/components/graph/graph'))

function Graph(element: ElementOf<'Graph'>) {
  const fallback = createElement('div', {
    className: 'h-64 rounded-lg border bg-sunken',
  })
  return createElement(Suspense, { fallback }, createElement(LazyGraph, element))
}

export const COMPONENTS: { [K in Kind]: ComponentType<ElementOf<K>> } = {
  Alert,
  Article,
  ArtifactView,
  Badge,
  Bullets,
  Button,
  Card,
  Commands,
  Curve,
  Dialog,
  Difference,
  Disclosure,
  Download,
  EmptyState,
  Entry,
  FilePicker,
  Foreign,
  Form,
  Graph,
  Grid,
  Heading,
  Line,
  Link,
  LiveRegion,
  Logs,
  Metrics,
  NodeDetails,
  Palette,
  Progress,
  RunSummary,
  Section,
  Segments,
  Select,
  Shell,
  Split,
  Stack,
  Switch,
  Table,
  Text,
  TextBox,
  Timeline,
  Toast,
  View,
}
