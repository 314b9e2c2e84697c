declare module "@dagrejs/dagre" {
  export class Graph {
    constructor(options?: { multigraph?: boolean });
    setGraph(label: object): void;
    graph(): unknown;
    setDefaultEdgeLabel(label: () => object): void;
    hasNode(id: string): boolean;
    setNode(id: string, label: object): void;
    node(id: string): unknown;
    nodes(): string[];
    hasEdge(from: string, to: string): boolean;
    setEdge(from: string, to: string): void;
    edge(e: { v: string; w: string }): unknown;
    edges(): { v: string; w: string }[];
  }
  export function layout(g: Graph): void;
}
