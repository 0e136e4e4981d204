// LangChain's document compressor for Cohere, in JavaScript.

import { CohereRerank } from "@langchain/cohere";
import { CohereClient } from "cohere-ai";
import { check, key, model, url } from "./pairs.mjs";

const client = new CohereClient({ token: key, environment: url });

await check("@langchain/cohere", async (query, documents, topN) => {
    const compressor = new CohereRerank({ model, client, topN: topN ?? documents.length });
    const ranking = await compressor.rerank(documents, query);
    return ranking.map((result) => [result.index, result.relevanceScore]);
});
