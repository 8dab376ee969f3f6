package org.moe4j.train.route;

import java.nio.file.Path;
import java.util.List;

/**
 * Who goes where in a model, on a text.
 *
 * @param model what was read
 * @param tokens the tokens that were counted
 * @param sequences the stretches of text they were read in
 * @param context the longest such stretch, in tokens
 * @param domains names of the domains, in the order they were met [D]
 * @param domainTokens how many tokens each of them has [D]
 * @param layers the sparse layers in order
 * @param samples stretches of text with the experts of each token
 * @param notes layers that were left out, and why
 */
public record RoutingFindings(
    Path model,
    long tokens,
    long sequences,
    int context,
    List<String> domains,
    long[] domainTokens,
    List<LayerFindings> layers,
    List<TextSample> samples,
    List<String> notes) {}
