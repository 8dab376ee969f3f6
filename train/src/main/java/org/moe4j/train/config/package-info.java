/**
 * Configuration: records whose components are the keys of a TOML file, each documented and bounded
 * by its {@link org.moe4j.train.config.Key}.
 */
@NullMarked
package org.moe4j.train.config;

import org.jspecify.annotations.NullMarked;
