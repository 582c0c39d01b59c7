export { newsFeed, subscriptionName } from "./feed.ts";
export { News } from "./news.ts";
export type { NewsDesk, NewsEvent, NewsFeed, NewsMode, NewsStanding } from "./types.ts";
