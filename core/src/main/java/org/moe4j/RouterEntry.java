package org.moe4j;

import java.util.List;
import java.util.function.Function;
import java.util.function.ToLongFunction;

/**
 * What the registry knows of a router.
 *
 * @param name the word in configuration files
 * @param paper the system's number in the reading list
 * @param description one line
 * @param causality which other tokens it looks at
 * @param taxonomy the twelve values of S22
 * @param options its documented options
 * @param maker makes the router and its parameters
 * @param parameters how many parameters it makes
 */
public record RouterEntry(
    String name,
    String paper,
    String description,
    Causality causality,
    Taxonomy taxonomy,
    List<OptionKey> options,
    Function<RouterSetup, Router> maker,
    ToLongFunction<MoeConfig> parameters) {

  /** The options of {@code config}, checked. */
  Options check(MoeConfig config) {
    return Options.check("router \"" + name + "\"", options, config.routerOptions());
  }
}
