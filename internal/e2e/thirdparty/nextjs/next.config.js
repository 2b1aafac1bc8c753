module.exports = { turbopack: { root: __dirname } } // the project's other package files are not its workspace
