/** Who goes where: what the routers of a model do with a text, layer by layer. */
@NullMarked
package org.moe4j.train.route;

import org.jspecify.annotations.NullMarked;
