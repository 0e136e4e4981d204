// Voyage's JavaScript client.

import { VoyageAIClient } from "voyageai";
import { check, key, model, url } from "./pairs.mjs";

// Without a limit its requests have no field that is Voyage's alone, so the path has to name the dialect.
const client = new VoyageAIClient({ apiKey: key, environment: `${url}/voyage/v1` });

await check("voyageai, JavaScript", async (query, documents, topK) => {
    const response = await client.rerank({ model, query, documents, topK, returnDocuments: true });
    if (response.data.some((result) => result.document !== documents[result.index])) {
        throw new Error("a result repeats another document than its own");
    }
    return response.data.map((result) => [result.index, result.relevanceScore]);
});
