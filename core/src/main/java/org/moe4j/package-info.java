/**
 * The Mixture-of-Experts vocabulary: routers, routing, capacity, dispatch, experts, balance and the
 * layer that composes them.
 */
@NullMarked
package org.moe4j;

import org.jspecify.annotations.NullMarked;
