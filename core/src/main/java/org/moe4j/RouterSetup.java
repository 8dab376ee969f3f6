package org.moe4j;

/**
 * What a router is made from.
 *
 * @param config the layer's configuration
 * @param options the router's checked options
 * @param store where its parameters go
 * @param layer the layer's index
 */
public record RouterSetup(MoeConfig config, Options options, ParameterStore store, int layer) {}
