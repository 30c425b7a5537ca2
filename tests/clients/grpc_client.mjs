// A Node client made from the .proto files alone. Prints the overview of the newest recording as JSON.
// Usage: node grpc_client.mjs QUERY_ADDRESS PROTO_DIRECTORY
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const [address, protoDirectory] = process.argv.slice(2);
const definition = protoLoader.loadSync('flightrec/query/v1/query.proto', { includeDirs: [protoDirectory], longs: String });
const { flightrec } = grpc.loadPackageDefinition(definition);
const client = new flightrec.query.v1.QueryService(address, grpc.credentials.createInsecure());
client.Overview({ recording: 'recordings/@latest' }, (error, overview) => {
  if (error) {
    console.error(error.message);
    process.exitCode = 1;
  } else {
    console.log(JSON.stringify(overview));
  }
  client.close();
});
