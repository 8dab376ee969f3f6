/**
 * Transformers: what a file's metadata says of one, its weights, and a step of tokens through it.
 */
@NullMarked
package org.moe4j.engine.model;

import org.jspecify.annotations.NullMarked;
