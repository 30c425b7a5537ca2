// A real MCP client over stdio: starts the bridge, lists its tools, calls those asked for, prints one JSON object.
// Usage: node mcp_stdio.mjs BRIDGE QUERY_ADDRESS '[{"name": "overview", "arguments": {...}}, ...]'
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const [bridge, query, calls] = process.argv.slice(2);
const client = new Client({ name: 'flightrec-test', version: '1.0.0' });
await client.connect(new StdioClientTransport({ command: bridge, args: ['--stdio', `--query=${query}`] }));
const { tools } = await client.listTools();
const results = [];
for (const call of JSON.parse(calls)) {
  results.push(await client.callTool(call));
}
await client.close();
console.log(JSON.stringify({ server: client.getServerVersion(), tools, results }));
