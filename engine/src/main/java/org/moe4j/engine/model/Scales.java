package org.moe4j.engine.model;

/**
 * What numbers are multiplied by on their way (Granite); 1 elsewhere.
 *
 * @param embedding looked-up tokens
 * @param residual what each block adds
 * @param logits the results
 */
public record Scales(float embedding, float residual, float logits) {}
