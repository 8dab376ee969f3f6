package org.moe4j.engine.cache;

/**
 * What keys and values take, and what prompts found of themselves.
 *
 * @param bytes of all pages that are held
 * @param peakBytes the most there ever were
 * @param keptBytes of pages that only wait for texts that begin alike
 * @param lookups prompts that were looked up
 * @param hits those of which something was there
 * @param reusedTokens tokens that needed no computing
 * @param evictions pages that were forgotten
 */
public record CacheStatistics(
    long bytes,
    long peakBytes,
    long keptBytes,
    long lookups,
    long hits,
    long reusedTokens,
    long evictions) {}
