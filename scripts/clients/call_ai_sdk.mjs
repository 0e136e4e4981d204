// Vercel's AI SDK with its provider for Cohere. It sends a list of any length in one request.

import { createCohere } from "@ai-sdk/cohere";
import { rerank } from "ai";
import { check, key, model, url } from "./pairs.mjs";

const cohere = createCohere({ baseURL: `${url}/v2`, apiKey: key });

await check("AI SDK, @ai-sdk/cohere", async (query, documents, topN) => {
    const { ranking } = await rerank({ model: cohere.reranking(model), query, documents, topN, maxRetries: 0 });
    return ranking.map((result) => [result.originalIndex, result.score]);
});
